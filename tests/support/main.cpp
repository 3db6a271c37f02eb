// Catch2 version 3 brings its own main; version 2 makes it here.
#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_MAIN
#include "tests/support/catch.hpp"
#endif
