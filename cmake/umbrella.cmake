# Writes gradus.hpp, which includes every public header: all but those of tensor/kernels, those whose first comment
# begins with "Internal:", and tensor/xtensor.hpp, which only users of xtensor want. So a new header needs no line
# anywhere. The file is touched only when what it holds changes.
set(gradus_umbrella ${PROJECT_BINARY_DIR}/include/gradus.hpp)
set(lines "#pragma once\n\n/// Everything public, in one include. Written by cmake/umbrella.cmake.\n\n")
foreach(folder autograd models nn optim tensor text)
  file(GLOB_RECURSE headers RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS ${folder}/*.hpp)
  foreach(header ${headers})
    file(STRINGS ${header} internal REGEX "^// Internal: " LIMIT_COUNT 1)
    if(NOT internal AND NOT header MATCHES "^tensor/(kernels/|xtensor.hpp)")
      string(APPEND lines "#include \"${header}\"\n")
    endif()
  endforeach()
endforeach()
file(CONFIGURE OUTPUT ${gradus_umbrella} CONTENT "${lines}" @ONLY)
