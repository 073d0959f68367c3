// Taking a path for an ipc listener.

#ifndef NNG_PAIR_IPC_BIND_H
#define NNG_PAIR_IPC_BIND_H

#include <sys/stat.h>

// Over ipc a connection that finds no place here is refused at once: a flood
// should not keep others out. The system has its own limit.
#define IPC_BACKLOG 4096

// No mode was asked for: what the umask leaves.
#define IPC_ANY_MODE (-1)

// Makes the fresh socket fd listen at the path, where its file has the mode,
// and says in *own which file that is: the caller's, to be removed in the end.
// Waits for others that are about to take a path in the same folder. Returns
// an error of NNG's; the path is as it was then, but for the file of a dead
// listener, and the socket is of no more use.
extern int ipc_bind(int fd, const char *path, int mode, struct stat *own);

#endif  // NNG_PAIR_IPC_BIND_H
