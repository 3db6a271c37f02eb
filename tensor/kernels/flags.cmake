if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=[a-z,]*undefined")
  # These checks keep every register tile in memory, and the address sanitizer sees what they would see.
  set(checks ";-fno-sanitize=null,alignment,bounds,object-size")
endif()
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=[a-z,]*address")
  # Thousands of inlined temporaries, each watched on the stack, take the compiler minutes; the heap, where tensors
  # are, is watched all the same.
  list(APPEND checks "--param=asan-stack=0" -fno-sanitize-address-use-after-scope)
endif()
# GCC would contract a * b + c differently from one copy of an inlined function to the next, and an element's value
# would depend on where it stands; what should be one multiply-add says so.
set(exact ";-ffp-contract=off")
# Only the kernels are compiled for instruction sets beyond the baseline; which one runs is chosen at run time.
set_source_files_properties(${PROJECT_SOURCE_DIR}/tensor/kernels/baseline.cpp PROPERTIES COMPILE_OPTIONS "-O3${exact}${checks}")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(${PROJECT_SOURCE_DIR}/tensor/kernels/avx2.cpp PROPERTIES COMPILE_OPTIONS
    "-O3;-mavx2;-mfma${exact}${checks}")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    set(quiet ";-Wno-uninitialized;-Wno-maybe-uninitialized")  # GCC 12 warns of its own intrinsics header
  endif()
  set_source_files_properties(${PROJECT_SOURCE_DIR}/tensor/kernels/avx512.cpp PROPERTIES COMPILE_OPTIONS
    "-O3;-mavx512f;-mavx512dq;-mavx512bw;-mavx512vl;-mavx512cd;-mfma;-mprefer-vector-width=512${exact}${quiet}${checks}")
endif()
