/* The bare system calls of hermes-svstat -o up, one gateway after the other, and
   with PROFILES those of --json, for comparison: what to read that much costs,
   whoever does it. With PROCESSES, so many do it at once, each for its share.

   usage: status SCANDIR [PROFILES [PROCESSES]] */

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char const *below (char const *gateway, char const *file)
{
  static char path[512] ;
  snprintf(path, sizeof path, "%s%s", gateway, file) ;
  return path ;
}

static int open_at (int at, char const *gateway, char const *file)
{
  return openat(at, below(gateway, file), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) ;
}

static int locked (int at, char const *gateway, char const *file, short against)
{
  struct flock lock = { .l_type = against } ;
  int fd = open_at(at, gateway, file) ;
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

static void ask (int at, int home, char const *gateway)
{
  int up = locked(at, gateway, "/supervise/lock", F_RDLCK) && readable(at, gateway, "/supervise/status") ;
  if (home >= 0)
  {
    faccessat(at, below(gateway, "/down"), F_OK, 0) ;
    readable(at, gateway, "/supervise/death_tally") ;
    readable(home, gateway + 8, "/gateway_state.json") ;
    locked(home, gateway + 8, "/.gateway-fence", F_WRLCK) ;
  }
  puts(up ? "true" : "false") ;
}

#define MAX 20000

int main (int argc, char **argv)
{
  static char *gateways[MAX] ;
  DIR *scan = argc > 1 ? opendir(argv[1]) : 0 ;
  int home = argc > 2 ? open(argv[2], O_RDONLY | O_DIRECTORY) : -1 ;
  int processes = argc > 3 ? atoi(argv[3]) : 1 ;
  int n = 0, i = 0, child = 1 ;
  struct dirent *e ;
  if (!scan || (argc > 2 && home < 0) || processes < 1) { perror("status: fatal") ; return 111 ; }
  while ((e = readdir(scan)) && n < MAX)
    if (!strncmp(e->d_name, "gateway-", 8)) gateways[n++] = strdup(e->d_name) ;
  while (i < processes - 1 && (child = fork()) > 0) i++ ;
  if (child < 0) { perror("status: fatal: fork") ; return 111 ; }
  for (; i < n ; i += processes) ask(dirfd(scan), home, gateways[i]) ;
  fflush(stdout) ;
  while (wait(0) > 0) ;
  return 0 ;
}
