include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(ilm_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/ilm")

# One export set a target, so that the package can be loaded without the needs of its optional parts.
foreach(target IN LISTS ilm_targets)
  install(TARGETS ${target} EXPORT ${target}Targets
          FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(EXPORT ${target}Targets NAMESPACE ilm:: DESTINATION "${ilm_package_dir}")
endforeach()

configure_package_config_file(
  "${CMAKE_CURRENT_LIST_DIR}/ilmConfig.cmake.in" "${PROJECT_BINARY_DIR}/ilmConfig.cmake"
  INSTALL_DESTINATION "${ilm_package_dir}"
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR
  NO_SET_AND_CHECK_MACRO)
# Until 1.0, a new minor version may break its users.
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/ilmConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion
  ARCH_INDEPENDENT)

install(
  FILES "${PROJECT_BINARY_DIR}/ilmConfig.cmake"
        "${PROJECT_BINARY_DIR}/ilmConfigVersion.cmake"
        "${CMAKE_CURRENT_LIST_DIR}/FindAsio.cmake"
        "${CMAKE_CURRENT_LIST_DIR}/FindWslay.cmake"
        "${CMAKE_CURRENT_LIST_DIR}/compiled.cmake"
  DESTINATION "${ilm_package_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/ilm")
