// NNG's memory, with large blocks kept for the next message (alloc.c).

#ifndef NNG_PAIR_ALLOC_H
#define NNG_PAIR_ALLOC_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

// Gives back the spare blocks that nobody needed since the last call; returns
// whether any are left. Any thread.
extern bool alloc_trim(void);
// Whether there are spare blocks.
extern bool alloc_has_spare(void);

#ifdef __cplusplus
}
#endif

#endif  // NNG_PAIR_ALLOC_H
