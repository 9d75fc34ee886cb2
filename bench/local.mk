# Never in the test run: `make bench` builds BENCHES and runs them one after the other.
bench: all $(BENCHES)
	@for b in $(BENCHES); do echo "== $$b"; ./$$b || exit 1; done
EXTRA_PROGRAMS += $(BENCHES)
EXTRA_DIST += %D%/README.md
