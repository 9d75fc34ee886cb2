# Mechanisms without project nouns. Whoever links it also links $(SYSTEMD_LIBS) (log.c) and
# $(INIH_LIBS) (ini_file.c).
noinst_LIBRARIES += %D%/libbase.a
%C%_libbase_a_SOURCES = \
	%D%/bytes.c %D%/bytes.h \
	%D%/cleanup.h \
	%D%/fd.c %D%/fd.h \
	%D%/folder.c %D%/folder.h \
	%D%/ini_file.c %D%/ini_file.h \
	%D%/journal.c %D%/journal.h \
	%D%/log.c %D%/log.h \
	%D%/slice.c %D%/slice.h \
	%D%/text.c %D%/text.h \
	%D%/urgent.h
BASE_LIBS = %D%/libbase.a $(SYSTEMD_LIBS)
EXTRA_DIST += %D%/README.md
