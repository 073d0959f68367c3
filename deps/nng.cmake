# NNG as one static library, made of the files that PAIR v0 over tcp and ipc needs. NNG's own CMake
# project is not used: it can neither leave files out for ours nor be told what a platform has.
#
# In:  NNG_PAIR_NNG_DIR, NNG_PAIR_STOCK_PLATFORM, NNG_PAIR_OWN_C (our C files for this platform)
# Out: the target `nng`

set(nng_core
  src/nng.c
  src/core/aio.c
  src/core/device.c
  src/core/dialer.c
  src/core/file.c
  src/core/idhash.c
  src/core/init.c
  src/core/list.c
  src/core/listener.c
  src/core/lmq.c
  src/core/message.c
  src/core/msgqueue.c
  src/core/options.c
  src/core/panic.c
  src/core/pipe.c
  src/core/pollable.c
  src/core/protocol.c
  src/core/reap.c
  src/core/socket.c
  src/core/stats.c
  src/core/stream.c
  src/core/strs.c
  src/core/tcp.c
  src/core/thread.c
  src/core/url.c
  src/sp/protocol/pair0/pair.c
  src/sp/transport.c
  src/sp/transport/ipc/ipc.c
  src/sp/transport/tcp/tcp.c
  # The stream table names TLS and WebSocket; these hold the "not supported" answers.
  src/supplemental/tls/tls_common.c
  src/supplemental/websocket/stub.c
)

set(nng_posix
  src/platform/posix/posix_atomic.c
  src/platform/posix/posix_debug.c
  src/platform/posix/posix_file.c
  src/platform/posix/posix_ipcdial.c
  src/platform/posix/posix_pipe.c
  src/platform/posix/posix_sockaddr.c
  src/platform/posix/posix_tcpdial.c
  src/platform/posix/posix_tcplisten.c
  src/platform/posix/posix_udp.c
)

set(nng_windows
  src/platform/windows/win_debug.c
  src/platform/windows/win_pipe.c
  src/platform/windows/win_rand.c
  src/platform/windows/win_sockaddr.c
)

# binding/platform has our own in place of these: see the table of faults in the documentation.
set(nng_posix_replaced
  src/core/taskq.c
  src/core/timer.c
  src/platform/posix/posix_alloc.c
  src/platform/posix/posix_clock.c
  src/platform/posix/posix_ipcconn.c
  src/platform/posix/posix_ipclisten.c
  src/platform/posix/posix_resolv_gai.c
  src/platform/posix/posix_tcpconn.c
  src/platform/posix/posix_thread.c
)

# What a platform has is stated, not probed: it is known, it holds for cross builds, and a probe on
# a new glibc would find functions that the oldest supported one lacks (arc4random, strlcpy).
set(nng_defs
  NNG_TRANSPORT_IPC
  NNG_TRANSPORT_TCP
  # A process must not grow with the machine's cores.
  NNG_EXPIRE_THREADS=1
  NNG_NUM_TASKQ_THREADS=4
)

set(nng_posix_defs
  NNG_PLATFORM_POSIX
  NNG_HAVE_LOCKF
  NNG_HAVE_PTHREAD_SETNAME_NP
  NNG_HAVE_STDATOMIC
  NNG_HAVE_STRCASECMP
  NNG_HAVE_STRNCASECMP
  NNG_HAVE_STRNLEN
  _GNU_SOURCE
  _POSIX_PTHREAD_SEMANTICS
  _REENTRANT
  _THREAD_SAFE
)

if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  set(nng_sources ${nng_core} ${nng_posix}
    src/platform/posix/posix_rand_getrandom.c
  )
  list(APPEND nng_defs ${nng_posix_defs}
    NNG_PLATFORM_LINUX
    NNG_HAVE_ABSTRACT_SOCKETS
    NNG_HAVE_EPOLL
    NNG_HAVE_EPOLL_CREATE1
    NNG_HAVE_EVENTFD
    NNG_HAVE_FLOCK
    NNG_HAVE_GETRANDOM
    NNG_HAVE_SOPEERCRED
    NNG_USE_EVENTFD
  )
elseif(APPLE)
  set(nng_sources ${nng_core} ${nng_posix}
    src/platform/posix/posix_rand_arc4random.c
  )
  list(APPEND nng_defs ${nng_posix_defs}
    NNG_PLATFORM_DARWIN
    NNG_HAVE_ARC4RANDOM
    NNG_HAVE_BACKTRACE
    NNG_HAVE_FLOCK
    NNG_HAVE_GETPEEREID
    NNG_HAVE_KQUEUE
    NNG_HAVE_LOCALPEERCRED
    NNG_HAVE_LOCALPEERPID
    NNG_HAVE_STRLCPY
  )
elseif(WIN32)
  set(nng_sources ${nng_core} ${nng_windows})
  list(REMOVE_ITEM nng_sources src/core/file.c)
  list(APPEND nng_defs
    NNG_PLATFORM_WINDOWS
    _CRT_RAND_S
    _CRT_SECURE_NO_WARNINGS
    # Windows 10: older ones are not supported by Node either.
    _WIN32_WINNT=0x0A00
    NTDDI_VERSION=0x0A000008
  )
else()
  message(FATAL_ERROR
    "nng-pair: ${CMAKE_SYSTEM_NAME} is not supported (Linux, macOS and Windows are)")
endif()

if(NNG_PAIR_STOCK_PLATFORM AND WIN32)
  message(FATAL_ERROR "nng-pair: on Windows there is no stock platform to build with")
elseif(NNG_PAIR_STOCK_PLATFORM)
  list(APPEND nng_sources ${nng_posix_replaced})
  if(APPLE)
    list(APPEND nng_sources src/platform/posix/posix_pollq_kqueue.c)
  else()
    list(APPEND nng_sources src/platform/posix/posix_pollq_epoll.c)
  endif()
else()
  set(nng_own_conn NNG_PAIR_OWN_CONN)
endif()

list(TRANSFORM nng_sources PREPEND "${NNG_PAIR_NNG_DIR}/")

# Ours are compiled as part of NNG, but with our warnings; its headers are not ours to mend.
add_library(nng_own OBJECT ${NNG_PAIR_OWN_C})
target_compile_definitions(nng_own PRIVATE ${nng_defs} ${nng_own_conn} NNG_STATIC_LIB)
target_include_directories(nng_own SYSTEM PRIVATE
  ${NNG_PAIR_NNG_DIR}/include
  ${NNG_PAIR_NNG_DIR}/src
)

add_library(nng STATIC ${nng_sources} $<TARGET_OBJECTS:nng_own>)
target_compile_definitions(nng PRIVATE ${nng_defs} PUBLIC ${nng_own_conn} NNG_STATIC_LIB)
target_include_directories(nng SYSTEM PUBLIC ${NNG_PAIR_NNG_DIR}/include)
target_include_directories(nng
  PRIVATE ${NNG_PAIR_NNG_DIR}/src
  PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/binding/platform
)

if(WIN32)
  target_link_libraries(nng PUBLIC ws2_32 mswsock advapi32 ntdll)
else()
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_package(Threads REQUIRED)
  target_link_libraries(nng PUBLIC Threads::Threads)
endif()
