// UndefinedBehaviorSanitizer beside AddressSanitizer cannot set its log_path:
// the call reaches the other library's function of the same name, and its
// reports go to standard error, which nobody may read. So call its own.

#include <dlfcn.h>
#include <stdlib.h>

__attribute__((constructor)) static void direct_reports(void) {
  const char *path = getenv("NNG_PAIR_SANITIZER_REPORTS");
  void *library = dlopen("libubsan.so.1", RTLD_LAZY | RTLD_NOLOAD);
  void (*set_report_path)(const char *);

  if (path == NULL || library == NULL) {
    return;
  }
  *(void **)&set_report_path = dlsym(library, "__sanitizer_set_report_path");
  if (set_report_path != NULL) {
    set_report_path(path);
  }
}
