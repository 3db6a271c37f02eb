#pragma once

// Which sanitizer a program is built with: g++ says it by macros, clang by __has_feature. Macros, as what
// cannot work under one is not compiled.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GRADUS_ADDRESS_SANITIZER 1
#endif
#if __has_feature(thread_sanitizer)
#define GRADUS_THREAD_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define GRADUS_ADDRESS_SANITIZER 1
#endif
#if defined(__SANITIZE_THREAD__)
#define GRADUS_THREAD_SANITIZER 1
#endif
