#!/usr/bin/python3
"""In place of the unit and component tests where configure has found no cmocka. Prints TAP."""

print("1..1")
print("ok 1 - unit_and_component_tests # SKIP cmocka is missing (Debian: libcmocka-dev; then configure again)")
