# libbehalf, as an API's owner gets it: a shared library that shows what BEHALF_PUBLIC marks and nothing else, its
# headers, and what CMake and pkg-config need to find both. Its own parts (base, crypto, http) are inside, hidden.
# Debian's place for libraries, under /usr and under /usr/local: the loader, pkg-config and CMake look there.
if(NOT DEFINED CMAKE_INSTALL_LIBDIR AND CMAKE_LIBRARY_ARCHITECTURE)
  set(CMAKE_INSTALL_LIBDIR lib/${CMAKE_LIBRARY_ARCHITECTURE})
endif()
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set_target_properties(behalf_sdk PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
add_library(behalf_shared SHARED $<TARGET_OBJECTS:behalf_sdk>)
set_target_properties(behalf_shared PROPERTIES
  OUTPUT_NAME behalf EXPORT_NAME behalf VERSION ${PROJECT_VERSION} SOVERSION 0
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/sdk
  LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/libbehalf.map)
target_include_directories(behalf_shared INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(behalf_shared INTERFACE cxx_std_17)
target_link_libraries(behalf_shared PRIVATE behalf_base behalf_crypto behalf_http PkgConfig::TOMLPLUSPLUS)
target_link_options(behalf_shared PRIVATE -Wl,--exclude-libs,ALL -Wl,--as-needed -Wl,-z,defs
  -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/libbehalf.map)

install(TARGETS behalf_shared EXPORT behalf
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development)
install(DIRECTORY src/sdk/include/behalf DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(EXPORT behalf FILE behalfTargets.cmake NAMESPACE behalf:: COMPONENT development
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/behalf)
file(WRITE ${CMAKE_BINARY_DIR}/behalfConfig.cmake "include(\${CMAKE_CURRENT_LIST_DIR}/behalfTargets.cmake)\n")
write_basic_package_version_file(behalfConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/behalfConfig.cmake ${CMAKE_BINARY_DIR}/behalfConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/behalf COMPONENT development)
# Relative, because what is built once is installed under /usr by a package and anywhere by hand.
file(RELATIVE_PATH prefix_from_pkgconfig /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/behalf.pc.in behalf.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/behalf.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
