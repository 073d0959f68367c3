// What Debian's C++ library asks of glibc and musl has not, so that a program
// for musl can use it. Loaded in the place of glibc's ld-linux-x86-64.so.2,
// which that library names too. Its ABI is otherwise the same as far as Bun
// uses it.

#define _GNU_SOURCE
#include <link.h>
#include <locale.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

char __libc_single_threaded = 0;

size_t __strftime_l(char *to, size_t size, const char *format,
                    const struct tm *time, locale_t locale) {
  return strftime_l(to, size, format, time, locale);
}

uint32_t arc4random(void) {
  uint32_t value;
  if (getrandom(&value, sizeof(value), 0) != sizeof(value)) abort();
  return value;
}

// libgcc has these under versions that musl does not look at; nobody reads
// them.
unsigned int __cpu_model[4];

int __cpu_indicator_init(void) { return 0; }

// Destructors of thread_local objects, the last first.
struct destructor {
  void (*run)(void *);
  void *object;
  struct destructor *next;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t destructors;

static void run_destructors(void *first) {
  while (first != NULL) {
    struct destructor *this = first;
    first = this->next;
    this->run(this->object);
    free(this);
  }
}

static void make_key(void) {
  if (pthread_key_create(&destructors, run_destructors) != 0) abort();
}

int __cxa_thread_atexit_impl(void (*run)(void *), void *object, void *dso) {
  (void)dso;
  pthread_once(&once, make_key);
  struct destructor *this = malloc(sizeof(*this));
  if (this == NULL) return -1;
  *this = (struct destructor){run, object, pthread_getspecific(destructors)};
  return pthread_setspecific(destructors, this) == 0 ? 0 : -1;
}

// How libgcc finds the unwinding tables of an address (dlfcn.h of glibc).
struct dl_find_object {
  unsigned long long flags;
  void *map_start;
  void *map_end;
  void *link_map;
  void *eh_frame;
  unsigned long long reserved[7];
};

struct search {
  uintptr_t address;
  struct dl_find_object *result;
};

static int look(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size;
  struct search *search = arg;
  void *eh_frame = NULL;
  uintptr_t start = 0;
  uintptr_t end = 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    const uintptr_t at = info->dlpi_addr + header->p_vaddr;
    if (header->p_type == PT_GNU_EH_FRAME) eh_frame = (void *)at;
    if (header->p_type == PT_LOAD && search->address >= at &&
        search->address - at < header->p_memsz) {
      start = at;
      end = at + header->p_memsz;
    }
  }
  if (end == 0 || eh_frame == NULL) return 0;
  *search->result = (struct dl_find_object){
      .map_start = (void *)start, .map_end = (void *)end, .eh_frame = eh_frame};
  return 1;
}

int _dl_find_object(void *address, struct dl_find_object *result) {
  struct search search = {(uintptr_t)address, result};
  return dl_iterate_phdr(look, &search) == 1 ? 0 : -1;
}
