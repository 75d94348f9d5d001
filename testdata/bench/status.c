/* The bare system calls of hermes-svstat -o up, one gateway after the other, and
   with PROFILES those of --json, for comparison: what to read that much costs,
   whoever does it.

   usage: status SCANDIR [PROFILES] */

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int open_at (int at, char const *gateway, char const *file)
{
  char path[512] ;
  snprintf(path, sizeof path, "%s%s", gateway, file) ;
  return openat(at, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) ;
}

static int supervised (int at, char const *gateway)
{
  struct flock lock = { .l_type = F_RDLCK } ;
  int fd = open_at(at, gateway, "/supervise/lock") ;
  if (fd < 0) return 0 ;
  fcntl(fd, F_GETLK, &lock) ;
  close(fd) ;
  return lock.l_type == F_WRLCK ;
}

static int readable (int at, char const *gateway, char const *file)
{
  char buffer[4096] ;
  ssize_t n ;
  int fd = open_at(at, gateway, file) ;
  if (fd < 0) return 0 ;
  n = read(fd, buffer, sizeof buffer) ;
  close(fd) ;
  return n > 0 ;
}

int main (int argc, char **argv)
{
  DIR *scan = argc > 1 ? opendir(argv[1]) : 0 ;
  int home = argc > 2 ? open(argv[2], O_RDONLY | O_DIRECTORY) : -1 ;
  struct dirent *e ;
  if (!scan || (argc > 2 && home < 0)) { perror("status: fatal") ; return 111 ; }
  while ((e = readdir(scan)))
  {
    int at = dirfd(scan) ;
    int up ;
    if (strncmp(e->d_name, "gateway-", 8)) continue ;
    up = supervised(at, e->d_name) && readable(at, e->d_name, "/supervise/status") ;
    if (argc > 2)
    {
      close(open_at(at, e->d_name, "/down")) ;
      readable(at, e->d_name, "/supervise/death_tally") ;
      readable(home, e->d_name + 8, "/gateway_state.json") ;
    }
    puts(up ? "true" : "false") ;
  }
  return 0 ;
}
