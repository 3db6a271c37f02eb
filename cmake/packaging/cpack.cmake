# Two Debian packages, of the preset `package`: gradus, which runs programs, and libgradus-dev, which builds them.
# `scripts/build package && cpack --config build/package/CPackConfig.cmake -B build/package`
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/gradus RENAME copyright COMPONENT runtime)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libgradus-dev RENAME copyright COMPONENT development)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The Gradus authors")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME gradus)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION science)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "The program `gradus`, which trains, evaluates and samples
language models, and the shared library that programs in C++ link to.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libgradus-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "gradus (= ${PROJECT_VERSION}), libfmt-dev, libtbb-dev, zlib1g-dev, libzstd-dev, pkgconf | pkg-config")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "The headers, and the files for CMake and pkg-config.")
include(CPack)
