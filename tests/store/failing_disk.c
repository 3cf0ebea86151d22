/* A disk that fails when it is told to, for one process that preloads this library.

   failing_folder names the folder that it is about. failing_arm says which kinds of operations count there, which of them
   fails first, and how it goes on. Everything else goes to the C library as ever. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, SYNC = 4, RENAME = 8, MKDIR = 16, REMOVE = 32, READ = 64 };
enum { ONCE, ALWAYS, DEAD, SHORT };

static char folder[4096];
static size_t folder_length;
static atomic_int kinds, mode, error_number, broken;
static atomic_long left, counted, failed;
static atomic_schar ours[65536]; /* open files in the folder */

void failing_folder(const char *path) {
  strncpy(folder, path, sizeof folder - 1);
  folder_length = strlen(folder);
}

void failing_arm(int of, long which, int how, int number) {
  left = which;
  mode = how;
  error_number = number;
  broken = 0;
  counted = 0;
  failed = 0;
  kinds = of; /* last: other threads are at work */
}

void failing_disarm(void) { kinds = 0; }
long failing_counted(void) { return counted; }
long failing_failed(void) { return failed; }

/* Whether an operation shall fail, and then 2 if it shall do half of its work before. */
static int fails(int kind) {
  int of = kinds;
  if (!of || !((of & kind) || (broken && mode == DEAD && kind != READ))) return 0;
  if (broken) {
    if (mode == ONCE) return 0;
    failed++;
    errno = error_number;
    return 1;
  }
  counted++;
  if (--left != 0) return 0;
  broken = 1;
  failed++;
  errno = error_number;
  return mode == SHORT && kind == WRITE ? 2 : 1;
}

static int inside(const char *path) {
  return folder_length && path && !strncmp(path, folder, folder_length);
}

static int inside_at(int directory, const char *path) {
  return inside(path) || (path && path[0] != '/' && directory >= 0 && directory < 65536 && ours[directory]);
}

static int is_ours(int file) { return file >= 0 && file < 65536 && ours[file]; }

static int opened(int file, int own) {
  if (file >= 0 && file < 65536) ours[file] = own;
  return file;
}

static int kind_of(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) ? OPEN : READ; }

#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define PERMISSIONS \
  mode_t permissions = 0; \
  if (flags & (O_CREAT | __O_TMPFILE)) { \
    va_list rest; \
    va_start(rest, flags); \
    permissions = va_arg(rest, mode_t); \
    va_end(rest); \
  }
#define OPENS(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); \
    PERMISSIONS \
    int own = inside(path); \
    if (own && fails(kind_of(flags))) return -1; \
    return opened(real(path, flags, permissions), own); \
  }
#define OPENS_AT(name) \
  int name(int directory, const char *path, int flags, ...) { \
    REAL(name); \
    PERMISSIONS \
    int own = inside_at(directory, path); \
    if (own && fails(kind_of(flags))) return -1; \
    return opened(real(directory, path, flags, permissions), own); \
  }

OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)

int close(int file) {
  REAL(close);
  opened(file, 0);
  return real(file);
}

#define WRITES(name, arguments, given, half) \
  ssize_t name arguments { \
    REAL(name); \
    int how = is_ours(file) ? fails(WRITE) : 0; \
    if (how == 2 && size > 1) { size /= 2; return real half; } \
    return how ? -1 : real given; \
  }

WRITES(write, (int file, const void *data, size_t size), (file, data, size), (file, data, size))
WRITES(pwrite, (int file, const void *data, size_t size, off_t at), (file, data, size, at), (file, data, size, at))
WRITES(pwrite64, (int file, const void *data, size_t size, off64_t at), (file, data, size, at), (file, data, size, at))

ssize_t writev(int file, const struct iovec *parts, int count) {
  REAL(writev);
  return is_ours(file) && fails(WRITE) ? -1 : real(file, parts, count);
}

#define ON_FILE(name, kind, arguments, given) \
  int name arguments { \
    REAL(name); \
    return is_ours(file) && fails(kind) ? -1 : real given; \
  }

ON_FILE(fsync, SYNC, (int file), (file))
ON_FILE(fdatasync, SYNC, (int file), (file))
ON_FILE(ftruncate, WRITE, (int file, off_t size), (file, size))
ON_FILE(ftruncate64, WRITE, (int file, off64_t size), (file, size))

#define ON_PATH(name, kind, arguments, given) \
  int name arguments { \
    REAL(name); \
    return inside(path) && fails(kind) ? -1 : real given; \
  }

ON_PATH(mkdir, MKDIR, (const char *path, mode_t permissions), (path, permissions))
ON_PATH(unlink, REMOVE, (const char *path), (path))
ON_PATH(rmdir, REMOVE, (const char *path), (path))
ON_PATH(rename, RENAME, (const char *path, const char *to), (path, to))

int mkdirat(int directory, const char *path, mode_t permissions) {
  REAL(mkdirat);
  return inside_at(directory, path) && fails(MKDIR) ? -1 : real(directory, path, permissions);
}

int unlinkat(int directory, const char *path, int flags) {
  REAL(unlinkat);
  return inside_at(directory, path) && fails(REMOVE) ? -1 : real(directory, path, flags);
}

int renameat(int from, const char *path, int into, const char *to) {
  REAL(renameat);
  return inside_at(from, path) && fails(RENAME) ? -1 : real(from, path, into, to);
}

int renameat2(int from, const char *path, int into, const char *to, unsigned flags) {
  REAL(renameat2);
  return inside_at(from, path) && fails(RENAME) ? -1 : real(from, path, into, to, flags);
}
