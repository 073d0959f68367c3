# The headers of Node-API: C from cmake-js (or from node-api-headers when plain cmake runs), C++ from
# node-addon-api. Node itself knows where they are installed.
#
# On Windows an addon that is linked against node.lib only loads into a program of the name node.exe.
# So ours finds Node-API's functions itself, in whatever program has loaded it: node-api-imports.mjs
# writes the table of them.
#
# Out: NODE_API_INCLUDE; on Windows also NODE_API_IMPORTS, a C file of the addon

function(ask_node expression result)
  execute_process(
    COMMAND node -p "require('node:path').resolve(${expression})"
    WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
    OUTPUT_VARIABLE answer
    ERROR_VARIABLE problem
    OUTPUT_STRIP_TRAILING_WHITESPACE
    RESULT_VARIABLE status
  )
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "nng-pair: node could not answer ${expression}: ${problem}")
  endif()
  file(TO_CMAKE_PATH "${answer}" answer)
  set(${result} "${answer}" PARENT_SCOPE)
endfunction()

ask_node("require('node-addon-api').include_dir" node_addon_api)
if(NOT CMAKE_JS_INC)
  ask_node("require('node-api-headers').include_dir" CMAKE_JS_INC)
endif()
set(NODE_API_INCLUDE ${CMAKE_JS_INC} ${node_addon_api})

if(WIN32)
  set(NODE_API_IMPORTS "${CMAKE_CURRENT_BINARY_DIR}/node_api_imports.c")
  execute_process(
    COMMAND node deps/node-api-imports.mjs "${NODE_API_IMPORTS}"
    WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
    RESULT_VARIABLE status
  )
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "nng-pair: ${NODE_API_IMPORTS} could not be written")
  endif()
endif()
