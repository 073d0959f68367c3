// NNG's memory, with large blocks kept for the next message (block_cache.c).

#ifndef NNG_PAIR_ENGINE_BLOCK_CACHE_H
#define NNG_PAIR_ENGINE_BLOCK_CACHE_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

// Gives back the spare blocks that nobody needed since the last call; returns
// whether any are left, and with it whether to call again later. Any thread.
extern bool block_cache_trim(void);
// Nobody will call it any more: the next spare block asks for somebody again
// (engine_trim_later).
extern void block_cache_abandon(void);

#ifdef __cplusplus
}
#endif

#endif  // NNG_PAIR_ENGINE_BLOCK_CACHE_H
