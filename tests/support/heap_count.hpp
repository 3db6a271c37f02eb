#pragma once

#include <cstdint>

namespace gradus::test {

/// True when heap_count sees the heap: not under sanitizers, which have a heap of their own.
extern const bool counts_heap;

/// How often this program has asked the heap for memory so far, through malloc, new or any other door, on all
/// threads.
std::int64_t heap_count();

}  // namespace gradus::test
