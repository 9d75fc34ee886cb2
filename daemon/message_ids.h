/*
 * message_ids.h: the MESSAGE_ID of each sort of record that the daemon writes. Each has an entry in
 * packaging/stillpoint.catalog that says what has happened and what to do; tests/catalog/ holds
 * both against each other. An id is for good: people search for it, and what it says may be worded
 * anew.
 */
#pragma once

/* Life of the daemon. */
#define MESSAGE_SERVING "975736928a134cbfa8dcbd75caba28c5"
#define MESSAGE_CANNOT_START "4dd2ed1b608d4441bf33cf203eb3db6d"
#define MESSAGE_CONFIG_WRONG "1f5d59b6bf994a919ecd8ff8b1baee00"
#define MESSAGE_CONFIG_IN_FORCE "b38e65714afb4183bd994b8d6d31f064"
#define MESSAGE_CONFIG_WAITS "cb1ef0e999a541ec8e5ac6a88851b573"
#define MESSAGE_SOCKET_UNREACHABLE "45892fa7f98a44028c7ff9d4139911dc"
#define MESSAGE_LIMITS_MISSING "5007cb88aa2146bdbebf91f7ae68b610"
#define MESSAGE_CPU_LATENCY "7ea9f9ff7eaa4193a14096e827d7d1a4"
#define MESSAGE_MANAGER_TROUBLE "89e0b2503a114941a462f98fcf9a1177"
#define MESSAGE_NO_MEMORY "e1dc8c4594744e6394f7ff9676b5d13f"
#define MESSAGE_STATE_NOT_KEPT "7abd59be9061467dbc346fb728e440e4"
#define MESSAGE_TAKEN_OVER "63c79b0358164f55a064dd6b6f4f9b1a"
#define MESSAGE_NOT_TAKEN_OVER "d7b9d0caebe34c359e4e155f66297e5f"
#define MESSAGE_STATE_UNREADABLE "c36f7da7a64e418c9c6f77074d75a097"
#define MESSAGE_PART_LOST "004d78d6b2a74bcd894a78c26f989cd8"
#define MESSAGE_NOT_REAPED "aaf45c736e3e49768c548281381fa072"

/* Clients: what they did and what they were refused, by act_log. */
#define MESSAGE_ACT_DONE "cfe326444151405f97c59232c31788cc"
#define MESSAGE_ACT_DENIED "4e9cb94f0a784c9dbc445f63a1faf282"
#define MESSAGE_ACTS_DROPPED "527ca4e32ea9457285c62448769df2b3"
#define MESSAGE_CONNECTION_REFUSED "5376b6ec9cbc49dca609b93ef71a8392"

/* Processes. */
#define MESSAGE_ZYGOTE_TROUBLE "a5499a5c57594fa0a35be74f8c79e2ee"
#define MESSAGE_STRAY_ENDED "af7f495afb9b47068c3939b0ad998e59"
#define MESSAGE_CGROUP_TROUBLE "3065452b6361466891fd43ae96da2840"

/* VMs. */
#define MESSAGE_VM_ENDED "4388d977d0114fd7873900d2ea8b29fb"
#define MESSAGE_VM_DEGRADED "2519505f33cc43e5ae950cfc2259c8de"
#define MESSAGE_VM_NO_SANDBOX "49c4c471b4f14d3aab3cd83ae844efa9"
#define MESSAGE_VM_VIOLATION "8fc694508c064d6fbcca571df8fadace"
#define MESSAGE_VM_LIED "fb004407c1994d998258133d08374234"
#define MESSAGE_VM_NOT_FROZEN "0d0a3fd8c7f84ead86c1dab9b2f2a45d"
#define MESSAGE_VM_LOST_WAKE "080bf20a78984f9699650e0b7d2c7262"
#define MESSAGE_OUTPUT_LEFT_OUT "b71ee83f961a4093afb16c122a323765"

/* Units: VMs that the daemon starts by itself. */
#define MESSAGE_UNITS_READ "6ee080c9031445ada5bd1f018a5075ee"
#define MESSAGE_UNIT_WRONG "8e26910cc9f24ad2b0b32b9e484f922a"
#define MESSAGE_UNIT_RESTARTING "b8f724d918574a628f7cfdbb4090eb4e"
#define MESSAGE_UNIT_FAILED "fde2ec5fe72b4731bc7f68ec86a011ac"

/* Worlds and debuggers. */
#define MESSAGE_HOLD_EXPIRED "6fef18acd6664d4e8cc3dfff357fcc13"
#define MESSAGE_PAUSE_WITHOUT_STOP "d7aa08379d8e41d78726d8a796ce98d9"
