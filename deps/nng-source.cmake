# Stops early, with the command that helps, when NNG's source is missing or not patched as it must be.

set(stamp_file "${NNG_PAIR_NNG_DIR}/.nng-pair.json")
if(NOT EXISTS "${stamp_file}")
  message(FATAL_ERROR
    "nng-pair: no patched NNG source in ${NNG_PAIR_NNG_DIR}; run: node deps/fetch.mjs")
endif()

file(READ "${stamp_file}" stamp)
file(GLOB patches CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/deps/patches/*.patch")
foreach(patch IN LISTS patches)
  file(SHA256 "${patch}" hash)
  get_filename_component(name "${patch}" NAME)
  string(FIND "${stamp}" "${hash}" found)
  if(found EQUAL -1)
    message(FATAL_ERROR
      "nng-pair: ${NNG_PAIR_NNG_DIR} lacks the present ${name}; run: node deps/fetch.mjs")
  endif()
endforeach()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${stamp_file}" ${patches})
