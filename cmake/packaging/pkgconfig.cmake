# gradus.pc, for those who build without CMake: `c++ -std=c++20 main.cpp $(pkg-config --cflags --libs gradus)`.
# A program on the static libraries is linked to all that they are made with; on the shared one, to fmt alone, whose names
# the headers use.
set(pc_private "-ltbb -lz -lzstd -lpcre2-8 -pthread")
if(gradus_sentencepiece)
  string(APPEND pc_private " -lsentencepiece")
endif()
if(BUILD_SHARED_LIBS)
  set(pc_libs "-lgradus")
else()
  set(pc_libs "-lgradus_models -lgradus_text -lgradus_optim -lgradus_nn -lgradus_autograd -lgradus_tensor ${pc_private}")
  set(pc_private)
endif()
foreach(kind LIB INCLUDE)
  set(pc_${kind} "\${prefix}/${CMAKE_INSTALL_${kind}DIR}")
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}DIR}")
    set(pc_${kind} "${CMAKE_INSTALL_${kind}DIR}")
  endif()
endforeach()
# The prefix is that of the installation, not of the configuration: from the place of the file itself.
string(REGEX REPLACE "[^/]+" ".." pc_up "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/gradus.pc @ONLY CONTENT
"prefix=\${pcfiledir}/@pc_up@
libdir=@pc_LIB@
includedir=@pc_INCLUDE@

Name: @PROJECT_NAME@
Description: @PROJECT_DESCRIPTION@
Version: @PROJECT_VERSION@
Requires: fmt
Libs: -L\${libdir} @pc_libs@
Libs.private: @pc_private@
Cflags: -I\${includedir}/gradus
")
install(FILES ${PROJECT_BINARY_DIR}/gradus.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
