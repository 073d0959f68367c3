// Preloaded, or linked into a program: a resolver that knows the names in the
// environment's TEST_NAMES, and leaves all others to the system. A line for
// each, of words: the name, its addresses, and before them how long it takes
// (@ and milliseconds), or an error (! and its number).
//
//   slow.test @4000 127.0.0.1
//   three.test 127.0.0.11 127.0.0.12 127.0.0.13
//   unknown.test !-2

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

typedef union {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
} address;

// Where the system would have a canonical name, this says whose it is.
static char ours[] = "getaddrinfo.c";

typedef struct {
  struct addrinfo info;
  address addr;
} node;

static void pause_ms(long ms) {
  struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

  while (nanosleep(&left, &left) != 0) {
  }
}

static node *make_node(const char *text, const char *service) {
  const bool v6 = strchr(text, ':') != NULL;
  node *n = calloc(1, sizeof(*n));
  const in_port_t port = htons((uint16_t)(service != NULL ? atoi(service) : 0));

  if (n == NULL) {
    abort();
  }
  if (v6) {
    n->addr.in6.sin6_port = port;
  } else {
    n->addr.in.sin_port = port;
  }
  n->addr.any.sa_family = v6 ? AF_INET6 : AF_INET;
  if (inet_pton(n->addr.any.sa_family, text,
                v6 ? (void *)&n->addr.in6.sin6_addr
                   : (void *)&n->addr.in.sin_addr) != 1) {
    abort();
  }
  n->info.ai_family = n->addr.any.sa_family;
  n->info.ai_socktype = SOCK_STREAM;
  n->info.ai_protocol = IPPROTO_TCP;
  n->info.ai_addr = &n->addr.any;
  n->info.ai_addrlen = v6 ? sizeof(n->addr.in6) : sizeof(n->addr.in);
  n->info.ai_canonname = ours;
  return n;
}

// What a line says of its name.
static int answer(char *words, const char *service, int family,
                  struct addrinfo **out) {
  struct addrinfo **end = out;
  char *state;

  *out = NULL;
  for (char *word = strtok_r(words, " ", &state); word != NULL;
       word = strtok_r(NULL, " ", &state)) {
    if (*word == '@') {
      pause_ms(atol(word + 1));
    } else if (*word == '!') {
      return atoi(word + 1);
    } else if (family == AF_UNSPEC ||
               family == (strchr(word, ':') != NULL ? AF_INET6 : AF_INET)) {
      *end = &make_node(word, service)->info;
      end = &(*end)->ai_next;
    }
  }
  return *out != NULL ? 0 : EAI_NONAME;
}

int getaddrinfo(const char *name, const char *service,
                const struct addrinfo *hints, struct addrinfo **out) {
  const bool numeric = hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0;
  const char *names = getenv("TEST_NAMES");
  int (*system)(const char *, const char *, const struct addrinfo *,
                struct addrinfo **);

  if (name != NULL && names != NULL && !numeric) {
    const size_t length = strlen(name);
    char *copy = strdup(names);
    char *state;

    if (copy == NULL) {
      abort();
    }
    for (char *line = strtok_r(copy, "\n", &state); line != NULL;
         line = strtok_r(NULL, "\n", &state)) {
      if (strncmp(line, name, length) == 0 && line[length] == ' ') {
        const int rv =
            answer(line + length, service,
                   hints != NULL ? hints->ai_family : AF_UNSPEC, out);

        free(copy);
        return rv;
      }
    }
    free(copy);
  }
  *(void **)&system = dlsym(RTLD_NEXT, "getaddrinfo");
  return system(name, service, hints, out);
}

void freeaddrinfo(struct addrinfo *info) {
  void (*system)(struct addrinfo *);

  if (info == NULL || info->ai_canonname != ours) {
    *(void **)&system = dlsym(RTLD_NEXT, "freeaddrinfo");
    system(info);
    return;
  }
  while (info != NULL) {
    struct addrinfo *next = info->ai_next;

    free(info);
    info = next;
  }
}
