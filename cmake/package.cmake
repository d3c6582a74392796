# ilm_package: the package for JavaScript, in the build tree's `package`. For Emscripten.

set(ilm_package_sources "${PROJECT_SOURCE_DIR}/include/ilm/browser/package")
set(ilm_package_folder "${PROJECT_BINARY_DIR}/package")

# Header-only, and optimised for size: the module is all that a page loads.
add_executable(ilm_module "${ilm_package_sources}/module.cpp")
target_link_libraries(ilm_module PRIVATE ilm::browser ilm::websocket)
target_compile_options(ilm_module PRIVATE ${ilm_warning_options} -Oz)
target_compile_definitions(ilm_module PRIVATE NDEBUG)
target_link_options(
  ilm_module PRIVATE -Oz -sALLOW_MEMORY_GROWTH -sSTACK_SIZE=256KB -sMALLOC=emmalloc -sMODULARIZE -sEXPORT_ES6
  -sENVIRONMENT=worker -sINCOMING_MODULE_JS_API=ilm -sEXPORTED_FUNCTIONS=_main,_malloc,_free
  -sEXPORTED_RUNTIME_METHODS=HEAPU8)
set_target_properties(ilm_module PROPERTIES OUTPUT_NAME module SUFFIX .mjs
                                            RUNTIME_OUTPUT_DIRECTORY "${ilm_package_folder}")

configure_file("${ilm_package_sources}/package.json.in" "${ilm_package_folder}/package.json" @ONLY)
find_program(ilm_node node REQUIRED)
set(ilm_package_files ilm.mjs worker.mjs ilm.d.ts README.md)
list(TRANSFORM ilm_package_files PREPEND "${ilm_package_sources}/")
add_custom_target(
  ilm_package
  COMMAND "${CMAKE_COMMAND}" -E copy ${ilm_package_files} "${PROJECT_SOURCE_DIR}/LICENSE" "${ilm_package_folder}"
  COMMAND "${ilm_node}" "${ilm_package_sources}/sizes.mjs" "${ilm_package_folder}"
  DEPENDS ilm_module ${ilm_package_files}
  VERBATIM)
