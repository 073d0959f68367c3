// The lock under which listeners take their paths in a folder.

#ifndef NNG_PAIR_IPC_LOCK_H
#define NNG_PAIR_IPC_LOCK_H

#include <stdbool.h>

typedef struct {
  int folder;
  int file;       // negative: there is no lock to be had
  char name[32];  // in the folder
} ipc_lock;

// Locks the folder, which is open and stays so, against all others who may
// change what is in it and ask for this lock, in this process or another.
// NNG_EBUSY: another one has kept it for two seconds.
//
// No error, and no lock, where this process may not write to the folder, or
// where others have put something in the place of the lock that is not to be
// waited for.
extern int ipc_lock_folder(ipc_lock *l, int folder);
extern void ipc_unlock_folder(ipc_lock *l);
extern bool ipc_lock_held(const ipc_lock *l);

#endif  // NNG_PAIR_IPC_LOCK_H
