# A file that ends in .simd.cpp is compiled once for each instruction set, one that ends in .avx512_bf16.cpp or .amx_bf16.cpp
# for that alone; which of them runs is chosen at run time. Nothing else is compiled for instructions beyond the baseline.
set(simd_flags_baseline)
set(simd_flags_avx2 -mavx2 -mfma)
set(simd_flags_avx512 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx512cd -mfma -mprefer-vector-width=512)
set(simd_sets baseline)
set(simd_sets_alone)  # for whose files alone
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND simd_sets avx2 avx512)
  set(simd_sets_alone avx512_bf16 amx_bf16)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND simd_flags_avx512 -Wno-uninitialized -Wno-maybe-uninitialized)  # GCC 12 warns of its own intrinsics
endif()
set(simd_flags_avx512_bf16 ${simd_flags_avx512} -mavx512bf16)
set(simd_flags_amx_bf16 ${simd_flags_avx512_bf16} -mamx-tile -mamx-bf16)
# No contraction of a * b + c by the compiler: GCC would do it in one copy of an inlined function and not in another, and
# an element's value would depend on its position. Code that wants a fused multiply-add calls mul_add.
# Loops start at a line of the cache of instructions: an AMD EPYC of family 25 runs one of ten multiply-adds up to a fifth
# slower from elsewhere.
set(simd_flags -O3 -ffp-contract=off -falign-loops=64)
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  list(TRANSFORM simd_flags REPLACE "-O3" "-O2")  # checked at every step, -O3 takes the compiler minutes
endif()
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=[a-z,]*undefined")
  # These checks keep every register tile in memory; the address sanitizer finds the same faults.
  # xsimd turns lanes into integers whose result is then not taken, also those that no integer holds.
  list(APPEND simd_flags -fno-sanitize=null,alignment,bounds,object-size,float-cast-overflow)
endif()
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=[a-z,]*address")
  # Checking thousands of inlined temporaries on the stack takes the compiler minutes; accesses to the heap, where
  # tensors are, are checked all the same.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND simd_flags --param=asan-stack=0)
  else()
    list(APPEND simd_flags "SHELL:-mllvm -asan-stack=0")
  endif()
  list(APPEND simd_flags -fno-sanitize-address-use-after-scope)
endif()

# Adds the files of a folder that are compiled for instruction sets to its target. ARGN: the targets that they include
# headers of. All such objects are in the global property gradus_simd_objects.
function(gradus_simd_sources target sources)
  foreach(set ${simd_sets} ${simd_sets_alone})
    set(of_set ${sources})
    if(set IN_LIST simd_sets)
      list(FILTER of_set INCLUDE REGEX "[.]simd[.]cpp$")
      set(registers ${set})
    else()
      list(FILTER of_set INCLUDE REGEX "[.]${set}[.]cpp$")
      set(registers avx512)
    endif()
    if(NOT of_set)
      continue()
    endif()
    set(objects ${target}_${set})
    add_library(${objects} OBJECT ${of_set})
    target_compile_features(${objects} PRIVATE cxx_std_20)
    target_compile_definitions(${objects} PRIVATE GRADUS_INSTRUCTION_SET=${registers})
    target_compile_options(${objects} PRIVATE ${gradus_warnings} ${simd_flags} ${simd_flags_${set}})
    target_include_directories(${objects} PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${objects} PRIVATE xsimd ${ARGN})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${objects}>)
    set_property(GLOBAL APPEND PROPERTY gradus_simd_objects $<TARGET_OBJECTS:${objects}>)
  endforeach()
endfunction()
