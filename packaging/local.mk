# completions/ is installed by cli/local.mk, which owns the verbs that it completes.
EXTRA_DIST += %D%/README.md %D%/apparmor/stillpoint
