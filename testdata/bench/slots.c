/* The bare system calls that make the slots of N gateways, for comparison with
   hermes-reconcile: directories, FIFOs, files with the same sizes, modes and
   owners, each slot built under a dot name and renamed into place.

   usage: slots SCANDIR N GID */

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

static void file (int at, char const *name, mode_t mode, size_t size)
{
  static char const data[4096] ;
  int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode) ;
  check(fd, name) ;
  if (size) check(write(fd, data, size), name) ;
  close(fd) ;
}

int main (int argc, char **argv)
{
  int scan, n ;
  gid_t gid ;
  if (argc < 4) return 100 ;
  umask(0) ;
  scan = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) ;
  check(scan, argv[1]) ;
  n = atoi(argv[2]) ;
  gid = atoi(argv[3]) ;
  for (int i = 0 ; i < n ; i++)
  {
    char tmp[40], name[40] ;
    int slot, log ;
    snprintf(tmp, sizeof tmp, ".gateway-p%d", i) ;
    snprintf(name, sizeof name, "gateway-p%d", i) ;
    slot = dir(scan, tmp, 0755) ;
    log = dir(slot, "log", 0755) ;
    seed(slot, gid) ;
    seed(log, gid) ;
    file(slot, "type", 0644, 8) ;
    file(slot, "run", 0755, 640) ;
    file(slot, "finish", 0755, 440) ;
    file(log, "run", 0755, 500) ;
    file(slot, "down", 0644, 0) ;
    close(log) ;
    close(slot) ;
    check(renameat2(scan, tmp, scan, name, RENAME_NOREPLACE), name) ;
  }
  return 0 ;
}
