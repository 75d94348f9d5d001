/* Runs a program and writes the peak of its memory, in kB, to descriptor 3.

   The peak that the kernel tells of a process counts what it had before it became
   the program: the memory of whoever started it. That is this small one's.

   usage: peak PROGRAM ARG... */

#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main (int argc, char **argv)
{
  struct rusage used ;
  int status ;
  pid_t pid ;
  if (argc < 2) return 100 ;
  if (fcntl(3, F_SETFD, FD_CLOEXEC) < 0) { perror("peak: fatal: descriptor 3") ; return 111 ; }
  pid = fork() ;
  if (pid < 0) { perror("peak: fatal: fork") ; return 111 ; }
  if (!pid)
  {
    execvp(argv[1], argv + 1) ;
    perror("peak: fatal: exec") ;
    _exit(127) ;
  }
  if (wait4(pid, &status, 0, &used) < 0) { perror("peak: fatal: wait4") ; return 111 ; }
  dprintf(3, "%ld\n", used.ru_maxrss) ;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status) ;
}
