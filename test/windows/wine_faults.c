// What wine 8 does otherwise than Windows, as far as our tests meet it.
// scripts/windows.mjs runs it, and takes each line to be a reason for leaving
// tests out (left-out.json): one that does not come any more, or is new, fails.

#define _WIN32_WINNT 0x0A00
#include <winsock2.h>
// After the system's others.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <winternl.h>

#define NAME L"\\\\.\\pipe\\nng-pair-wine-faults"

typedef struct {
  ULONG type, configuration, maximum_instances, current_instances;
  ULONG inbound_quota, read_data_available;
  ULONG outbound_quota, write_quota_available, state, end;
} pipe_information;

static HANDLE make_pipe(DWORD flags) {
  return CreateNamedPipeW(
      NAME, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | flags, PIPE_TYPE_BYTE,
      PIPE_UNLIMITED_INSTANCES, 65536, 65536, 0, NULL);
}

// A second "first instance" of a pipe must be refused: that is how two
// listeners know of each other.
static void first_instance(void) {
  HANDLE one = make_pipe(FILE_FLAG_FIRST_PIPE_INSTANCE);
  HANDLE two = make_pipe(FILE_FLAG_FIRST_PIPE_INSTANCE);

  if (two != INVALID_HANDLE_VALUE) {
    puts("first-instance: there can be two");
    CloseHandle(two);
  }
  CloseHandle(one);
}

// Nothing was written: all of the quota must be there.
static void unread(void) {
  HANDLE server = make_pipe(FILE_FLAG_FIRST_PIPE_INSTANCE);
  HANDLE client = CreateFileW(NAME, GENERIC_READ | GENERIC_WRITE, 0, NULL,
                              OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
  pipe_information info = {0};
  IO_STATUS_BLOCK status;

  NtQueryInformationFile(server, &status, &info, sizeof(info),
                         (FILE_INFORMATION_CLASS)24);
  if (info.write_quota_available != info.outbound_quota) {
    puts("unread: what a pipe's reader has not read is not told");
  }
  CloseHandle(client);
  CloseHandle(server);
}

// When a process is killed, whoever it was connected to must be told. Once in a
// while, some in a hundred times, its socket stays open for ever.

#define ROUNDS 200
#define PATIENCE_MS 3000

// The process: reads as it is told that there is something, and answers.
static int be_killed(int port) {
  static char bytes[64 * 1024];
  struct sockaddr_in address = {.sin_family = AF_INET};
  SOCKET s = WSASocketW(AF_INET, SOCK_STREAM, 0, NULL, 0, WSA_FLAG_OVERLAPPED);
  HANDLE completion = CreateIoCompletionPort((HANDLE)s, NULL, 1, 0);

  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons((u_short)port);
  if (connect(s, (struct sockaddr *)&address, sizeof(address)) != 0) {
    return 1;
  }
  for (;;) {
    OVERLAPPED operation = {0};
    OVERLAPPED *done;
    WSABUF nothing = {0, NULL};
    ULONG_PTR key;
    DWORD flags = 0;
    DWORD n;

    if (WSARecv(s, &nothing, 1, &n, &flags, &operation, NULL) != 0 &&
        WSAGetLastError() != WSA_IO_PENDING) {
      return 1;
    }
    GetQueuedCompletionStatus(completion, &n, &key, &done, INFINITE);
    if (recv(s, bytes, sizeof(bytes), 0) <= 0 || send(s, bytes, 1000, 0) <= 0) {
      return 1;
    }
  }
}

static DWORD WINAPI flood(void *socket) {
  static const char bytes[100 * 1000];

  while (send((SOCKET)socket, bytes, sizeof(bytes), 0) > 0) {
  }
  return 0;
}

static bool is_told(SOCKET listener, int port) {
  const DWORD patience = PATIENCE_MS;
  STARTUPINFOA startup = {.cb = sizeof(startup)};
  PROCESS_INFORMATION process;
  char program[MAX_PATH];
  char command[MAX_PATH + 32];
  char bytes[4096];
  bool told;
  SOCKET s;
  HANDLE flooding;
  int n;

  GetModuleFileNameA(NULL, program, sizeof(program));
  snprintf(command, sizeof(command), "\"%s\" %d", program, port);
  if (!CreateProcessA(NULL, command, NULL, NULL, FALSE, 0, NULL, NULL, &startup,
                      &process)) {
    return true;
  }
  s = accept(listener, NULL, NULL);
  flooding = CreateThread(NULL, 0, flood, (void *)s, 0, NULL);
  recv(s, bytes, sizeof(bytes), 0);
  Sleep((DWORD)(rand() % 20));
  TerminateProcess(process.hProcess, 1);
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&patience,
             sizeof(patience));
  do {
    n = recv(s, bytes, sizeof(bytes), 0);
  } while (n > 0);
  told = n == 0 || WSAGetLastError() != WSAETIMEDOUT;
  shutdown(s, SD_BOTH);
  // That does not always end a send that waits.
  WaitForSingleObject(flooding, PATIENCE_MS);
  closesocket(s);
  CloseHandle(flooding);
  CloseHandle(process.hThread);
  CloseHandle(process.hProcess);
  return told;
}

static void killed(void) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  int size = sizeof(address);
  SOCKET listener = socket(AF_INET, SOCK_STREAM, 0);

  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(listener, (struct sockaddr *)&address, sizeof(address));
  listen(listener, 1);
  getsockname(listener, (struct sockaddr *)&address, &size);
  for (int i = 0; i < ROUNDS; i++) {
    if (!is_told(listener, ntohs(address.sin_port))) {
      puts("killed: a socket stays open when its process is killed");
      break;
    }
  }
  closesocket(listener);
}

int main(int count, char **arguments) {
  WSADATA data;

  WSAStartup(MAKEWORD(2, 2), &data);
  if (count > 1) {
    return be_killed(atoi(arguments[1]));
  }
  first_instance();
  unread();
  killed();
  return 0;
}
