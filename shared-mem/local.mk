# Stop-the-world, both halves. A program links the archive and gets only the half that it calls.
noinst_LIBRARIES += %D%/libshared-mem.a
%C%_libshared_mem_a_SOURCES = \
	%D%/futex.h \
	%D%/gate.c %D%/gate.h \
	%D%/layout.h \
	%D%/map.c %D%/map.h \
	%D%/stop.c %D%/stop.h
SHARED_MEM_LIBS = %D%/libshared-mem.a
EXTRA_DIST += %D%/README.md
