/* The bare system calls that make the slots of N gateways, of which every second one
   is to start, for comparison with hermes-reconcile: directories, FIFOs, and the files
   of TEMPLATE, a slot that it made, with the modes and owners that it gives, each slot
   built under a dot name and renamed into place. TEMPLATE's last word after a "-" is
   its profile, for which each slot's files have their own, of no longer name. Then
   s6-svscan, where one runs, is told to rescan, as s6-svscanctl -a does.

   usage: slots SCANDIR N GID TEMPLATE */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void check (int r, char const *what)
{
  if (r < 0) { fprintf(stderr, "slots: fatal: %s: %s\n", what, strerror(errno)) ; exit(111) ; }
}

static int dir (int at, char const *name, mode_t mode)
{
  int fd ;
  check(mkdirat(at, name, mode), name) ;
  fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) ;
  check(fd, name) ;
  return fd ;
}

static void event (int at, gid_t gid)
{
  int fd = dir(at, "event", 0700) ;
  check(fchown(fd, -1, gid), "fchown") ;
  check(fchmod(fd, 03730), "fchmod") ;
  close(fd) ;
}

static void seed (int at, gid_t gid)
{
  int fd = dir(at, "supervise", 0755) ;
  event(at, gid) ;
  event(fd, gid) ;
  check(mkfifoat(fd, "control", 0660), "control") ;
  check(fchownat(fd, "control", -1, gid, AT_SYMLINK_NOFOLLOW), "fchownat") ;
  close(fd) ;
}

/* What a slot has besides, and holds of TEMPLATE's. */
static struct { char const *name ; mode_t mode ; char data[4096] ; } files[] =
{
  { "type", 0644, "" },
  { "run", 0755, "" },
  { "finish", 0755, "" },
  { "timeout-finish", 0644, "" },
  { "log/run", 0755, "" }
} ;
#define FILES (sizeof files / sizeof *files)

static void learn (char const *template)
{
  int at = open(template, O_RDONLY | O_DIRECTORY | O_CLOEXEC) ;
  check(at, template) ;
  for (size_t i = 0 ; i < FILES ; i++)
  {
    ssize_t n ;
    int fd = openat(at, files[i].name, O_RDONLY | O_CLOEXEC) ;
    check(fd, files[i].name) ;
    n = read(fd, files[i].data, sizeof files[i].data) ;
    check(n, files[i].name) ;
    if (n == sizeof files[i].data) { errno = EFBIG ; check(-1, files[i].name) ; }
    close(fd) ;
  }
  close(at) ;
}

static void file (int at, char const *name, mode_t mode, char const *data, char const *from, char const *to)
{
  char text[4096], *end = text ;
  int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode) ;
  check(fd, name) ;
  for (char const *next ; (next = strstr(data, from)) ; data = next + strlen(from))
  {
    end = mempcpy(end, data, next - data) ;
    end = stpcpy(end, to) ;
  }
  end = stpcpy(end, data) ;
  if (end > text) check(write(fd, text, end - text), name) ;
  close(fd) ;
}

static void rescan (int scan)
{
  int fd = openat(scan, ".s6-svscan/control", O_WRONLY | O_NONBLOCK | O_CLOEXEC) ;
  if (fd < 0 && errno == ENOENT) return ;
  check(fd, "control") ;
  check(write(fd, "a", 1), "control") ;
}

int main (int argc, char **argv)
{
  char const *profile ;
  int scan, n ;
  gid_t gid ;
  if (argc < 5 || !(profile = strrchr(argv[4], '-'))) return 100 ;
  profile++ ;
  learn(argv[4]) ;
  umask(0) ;
  scan = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) ;
  check(scan, argv[1]) ;
  n = atoi(argv[2]) ;
  gid = atoi(argv[3]) ;
  for (int i = 0 ; i < n ; i++)
  {
    char tmp[40], name[40] ;
    char const *own ;
    int slot, log ;
    snprintf(tmp, sizeof tmp, ".gateway-p%d", i) ;
    snprintf(name, sizeof name, "gateway-p%d", i) ;
    own = strchr(name, '-') + 1 ;
    if (strlen(own) > strlen(profile)) return 100 ;
    slot = dir(scan, tmp, 0755) ;
    log = dir(slot, "log", 0755) ;
    seed(slot, gid) ;
    seed(log, gid) ;
    for (size_t k = 0 ; k < FILES ; k++)
      file(slot, files[k].name, files[k].mode, files[k].data, profile, own) ;
    if (i % 2) file(slot, "down", 0644, "", profile, own) ;
    close(log) ;
    close(slot) ;
    check(renameat2(scan, tmp, scan, name, RENAME_NOREPLACE), name) ;
  }
  rescan(scan) ;
  return 0 ;
}
