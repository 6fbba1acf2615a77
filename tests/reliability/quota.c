/* A full disk tells of a quota instead: LD_PRELOAD, for tests.reliability.full. The calls that our commands make. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define TOLD(type, call)                            \
    type result = (call);                           \
    if (result == (type)-1 && errno == ENOSPC)      \
        errno = EDQUOT;                             \
    return result

ssize_t write(int file, const void *bytes, size_t count) { TOLD(ssize_t, REAL(write)(file, bytes, count)); }
ssize_t writev(int file, const struct iovec *parts, int count) { TOLD(ssize_t, REAL(writev)(file, parts, count)); }
ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) { TOLD(ssize_t, REAL(pwrite)(file, bytes, count, at)); }
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) { TOLD(ssize_t, REAL(pwrite64)(file, bytes, count, at)); }
ssize_t sendfile(int to, int from, off_t *at, size_t count) { TOLD(ssize_t, REAL(sendfile)(to, from, at, count)); }
ssize_t sendfile64(int to, int from, off64_t *at, size_t count) { TOLD(ssize_t, REAL(sendfile64)(to, from, at, count)); }
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *place, size_t count, unsigned flags) {
    TOLD(ssize_t, REAL(copy_file_range)(from, at, to, place, count, flags));
}
int ftruncate(int file, off_t size) { TOLD(int, REAL(ftruncate)(file, size)); }
int ftruncate64(int file, off64_t size) { TOLD(int, REAL(ftruncate64)(file, size)); }
int fsync(int file) { TOLD(int, REAL(fsync)(file)); }
int close(int file) { TOLD(int, REAL(close)(file)); }
int mkdir(const char *path, mode_t mode) { TOLD(int, REAL(mkdir)(path, mode)); }
int link(const char *from, const char *to) { TOLD(int, REAL(link)(from, to)); }
int symlink(const char *from, const char *to) { TOLD(int, REAL(symlink)(from, to)); }
int rename(const char *from, const char *to) { TOLD(int, REAL(rename)(from, to)); }

static mode_t mode_of(int flags, va_list rest) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; }

#define OPENER(name, before, passed)                                 \
    int name before {                                                \
        va_list rest;                                                \
        va_start(rest, flags);                                       \
        mode_t mode = mode_of(flags, rest);                          \
        va_end(rest);                                                \
        TOLD(int, REAL(name) passed);                                \
    }
OPENER(open, (const char *path, int flags, ...), (path, flags, mode))
OPENER(open64, (const char *path, int flags, ...), (path, flags, mode))
OPENER(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
OPENER(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
