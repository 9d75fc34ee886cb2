# stillpoint-gdbserver. All but main is an archive, so that unit tests link the real objects.
EXTRA_DIST += %D%/README.md %D%/fields.h %D%/packet.h %D%/wasm_module.h
