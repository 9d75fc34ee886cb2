# completions/ is installed by cli/local.mk, which owns the verbs that it completes.
# journald looks in the lib/ of both prefixes.
catalogdir = $(prefix)/lib/systemd/catalog
dist_catalog_DATA = %D%/stillpoint.catalog
EXTRA_DIST += %D%/README.md %D%/apparmor/stillpoint %D%/systemd/stillpointd.service.in \
	%D%/systemd/stillpointd-ended.service.in %D%/systemd/stillpoint.sysusers \
	%D%/systemd/stillpoint.tmpfiles %D%/systemd/stillpointd-stopped.in

# An example where `make install` leaves it: the system's own place for it is a package's.
dist_doc_DATA += %D%/stillpointd.conf

# ---- systemd

systemdsystemunit_DATA = %D%/systemd/stillpointd.service %D%/systemd/stillpointd-ended.service
dist_systemdsystemunit_DATA = %D%/systemd/stillpointd.socket %D%/systemd/stillpointd-observe.socket \
	%D%/systemd/stillpoint.slice
pkglibexec_SCRIPTS = %D%/systemd/stillpointd-stopped
CLEANFILES += $(systemdsystemunit_DATA) $(pkglibexec_SCRIPTS)

# Makefile: it has what configure was told.
$(systemdsystemunit_DATA): %: %.in Makefile
	@$(MKDIR_P) $(@D)
	$(AM_V_GEN)$(SED) -e 's,[@]sbindir[@],$(sbindir),g' -e 's,[@]pkglibexecdir[@],$(pkglibexecdir),g' $< >$@.new && \
		mv $@.new $@

%D%/systemd/stillpointd-stopped: %D%/systemd/stillpointd-stopped.in Makefile
	@$(MKDIR_P) $(@D)
	$(AM_V_GEN)cp $(srcdir)/%D%/systemd/stillpointd-stopped.in $@ && chmod 755 $@

# Both are named after who installs them, and here all are beside each other.
install-data-local: install-systemd-names
install-systemd-names:
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)' '$(DESTDIR)$(tmpfilesdir)'
	$(INSTALL_DATA) $(srcdir)/%D%/systemd/stillpoint.sysusers '$(DESTDIR)$(sysusersdir)/stillpoint.conf'
	$(INSTALL_DATA) $(srcdir)/%D%/systemd/stillpoint.tmpfiles '$(DESTDIR)$(tmpfilesdir)/stillpoint.conf'

uninstall-local: uninstall-systemd-names
uninstall-systemd-names:
	rm -f '$(DESTDIR)$(sysusersdir)/stillpoint.conf' '$(DESTDIR)$(tmpfilesdir)/stillpoint.conf'

.PHONY: install-systemd-names uninstall-systemd-names
