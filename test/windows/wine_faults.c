// What wine 8 does otherwise than Windows, as far as our tests meet it.
// scripts/windows.mjs runs it, and takes each line to be a reason for leaving
// tests out (left-out.json): one that does not come any more, or is new, fails.

#define _WIN32_WINNT 0x0A00
#include <windows.h>
// After the system's others.
#include <stdio.h>
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

int main(void) {
  first_instance();
  unread();
  return 0;
}
