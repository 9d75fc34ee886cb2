/* Who has which role, and that docs/PROTOCOL.md says what each request needs. */
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/access.h"
#include "daemon/api.h"
#include "proto/check_api.h"

#define OWNER 1234u
#define OTHER 777u

static struct access_rules rules_of(const char *observe, const char *run, const char *debug,
                                    const char *admin, int expected)
{
    struct config config = {.owner_uid = OWNER,
                            .groups = {(char *)(uintptr_t)observe, (char *)(uintptr_t)run,
                                       (char *)(uintptr_t)debug, (char *)(uintptr_t)admin}};
    struct access_rules rules;
    assert_int_equal(access_rules_init(&rules, &config), expected);
    return rules;
}

static unsigned roles(const struct access_rules *rules, uid_t uid, gid_t gid)
{
    const gid_t gids[] = {5, gid, 9};
    return access_roles(rules, uid, gids, 3);
}

static void owner_and_root_have_all_roles_and_others_what_groups_give(void **state)
{
    (void)state;
    struct access_rules r = rules_of("4001", "4002", "4003", "4004 4005", 0);
    assert_true(access_is_shared(&r));
    assert_int_equal(roles(&r, OWNER, 0), ACCESS_ALL);
    assert_int_equal(roles(&r, 0, 0), ACCESS_ALL);
    assert_int_equal(roles(&r, OTHER, 4000), ACCESS_NONE);
    assert_int_equal(roles(&r, OTHER, 4001), ACCESS_OBSERVE);
    assert_int_equal(roles(&r, OTHER, 4002), ACCESS_OBSERVE | ACCESS_RUN);
    assert_int_equal(roles(&r, OTHER, 4003), ACCESS_OBSERVE | ACCESS_DEBUG);
    assert_int_equal(roles(&r, OTHER, 4004), ACCESS_ALL);
    assert_int_equal(roles(&r, OTHER, 4005), ACCESS_ALL);
    assert_int_equal(access_roles(&r, OTHER, NULL, 0), ACCESS_NONE);
}

static void roles_of_several_groups_add_up(void **state)
{
    (void)state;
    struct access_rules r = rules_of(NULL, "4002", "4003", NULL, 0);
    const gid_t gids[] = {4002, 4003};
    assert_int_equal(access_roles(&r, OTHER, gids, 2), ACCESS_OBSERVE | ACCESS_RUN | ACCESS_DEBUG);
}

static void the_groups_of_a_role_are_named_with_those_that_it_comes_along_with(void **state)
{
    (void)state;
    char text[64];
    struct access_rules r = rules_of("4001", "4002  4003", "4003", "4004 4005", 0);
    const size_t size = sizeof text;
    assert_string_equal(access_groups_of(&r, ACCESS_OBSERVE, text, size), "4001, 4002, 4003");
    assert_string_equal(access_groups_of(&r, ACCESS_RUN, text, size), "4002, 4003");
    assert_string_equal(access_groups_of(&r, ACCESS_DEBUG, text, size), "4003");
    assert_string_equal(access_groups_of(&r, ACCESS_ADMIN, text, size), "4004, 4005");
    r = rules_of(NULL, "400 40", "0 4000", NULL, 0);
    assert_string_equal(access_groups_of(&r, ACCESS_OBSERVE, text, size), "400, 40, 0, 4000");
    assert_string_equal(access_groups_of(&r, ACCESS_OBSERVE, text, 10), "400, 40");
    assert_null(access_groups_of(&r, ACCESS_ADMIN, text, size));
    r = rules_of("4001", NULL, NULL, "4004", 0);
    assert_null(access_groups_of(&r, ACCESS_RUN, text, size));
}

static void without_groups_nobody_else_has_a_role(void **state)
{
    (void)state;
    struct access_rules r = rules_of(NULL, NULL, NULL, NULL, 0);
    assert_false(access_is_shared(&r));
    assert_int_equal(roles(&r, OTHER, 0), ACCESS_NONE);
}

static void groups_that_cannot_be_meant_are_refused(void **state)
{
    (void)state;
    rules_of("no-such-group", NULL, NULL, NULL, -EINVAL);
    rules_of(NULL, "4001 no-such-group", NULL, NULL, -EINVAL);
    rules_of(NULL, NULL, "4294967295", NULL, -EINVAL);
    char many[1024] = "";
    for (unsigned i = 0; i <= ACCESS_MAX_GROUPS; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "%u ", 4000 + i);
    rules_of(many, NULL, NULL, NULL, -EINVAL);
}

static void the_kernel_says_who_the_peer_is(void **state)
{
    (void)state;
    int pair[2];
    struct access_rules r = rules_of("4001", NULL, NULL, NULL, 0);
    struct access_peer peer;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(access_check(pair[0], &r, &peer), 0);
    assert_int_equal(peer.uid, geteuid());
    assert_int_equal(peer.pid, getpid());
    close(pair[0]);
    close(pair[1]);
}

/* The role of that request in the table of the page, or NULL. */
static const char *role_by_page(char *page, const char *request)
{
    static char role[16];
    char quoted[64], *rest = NULL;
    char *copy = strdup(page);
    role[0] = '\0';
    snprintf(quoted, sizeof quoted, "`%s`", request);
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char name[16];
        if (sscanf(line, "| %15[a-z] | `", name) != 1 || !strstr(line, quoted))
            continue;
        assert_string_equal(role, ""); /* named once */
        strcpy(role, name);
    }
    free(copy);
    return role[0] ? role : NULL;
}

static void the_protocol_page_says_what_each_request_needs(void **state)
{
    (void)state;
    const char *srcdir = getenv("srcdir");
    char path[4096], *page = calloc(1, 256 * 1024);
    snprintf(path, sizeof path, "%s/docs/PROTOCOL.md", srcdir ? srcdir : ".");
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_true(fread(page, 1, 256 * 1024 - 1, f) > 1000);
    fclose(f);
    for (int kind = 0; kind < API_KINDS; kind++) {
        const char *request = api_kind_name((enum api_kind)kind);
        unsigned role = api_role_of((enum api_kind)kind);
        const char *by_code = role ? access_role_name((enum access_role)role) : "none";
        const char *by_page = role_by_page(page, request);
        if (!by_page)
            fail_msg("%s is not in the table of %s", request, path);
        if (strcmp(by_page, by_code) != 0)
            fail_msg("%s needs %s, and %s says %s", request, by_code, path, by_page);
    }
    free(page);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(owner_and_root_have_all_roles_and_others_what_groups_give),
    cmocka_unit_test(roles_of_several_groups_add_up),
    cmocka_unit_test(the_groups_of_a_role_are_named_with_those_that_it_comes_along_with),
    cmocka_unit_test(without_groups_nobody_else_has_a_role),
    cmocka_unit_test(groups_that_cannot_be_meant_are_refused),
    cmocka_unit_test(the_kernel_says_who_the_peer_is),
    cmocka_unit_test(the_protocol_page_says_what_each_request_needs),
};

UNIT_MAIN(tests)
