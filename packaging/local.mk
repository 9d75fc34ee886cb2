# completions/ is installed by cli/local.mk, which owns the verbs that it completes.
# journald looks in the lib/ of both prefixes.
catalogdir = $(prefix)/lib/systemd/catalog
dist_catalog_DATA = %D%/stillpoint.catalog
EXTRA_DIST += %D%/README.md
