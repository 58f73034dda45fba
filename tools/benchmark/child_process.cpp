#include "child_process.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "worker.hpp"

namespace kfast::bench {

ChildProcess::ChildProcess(const std::vector<std::string>& arguments, int output_fd, int input_fd) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) {
    give_up(std::string("no process could be started: ") + std::strerror(errno));
  }
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) {
      ::_exit(EXIT_FAILURE);
    }
    if (output_fd >= 0) {
      ::dup2(output_fd, STDOUT_FILENO);
    }
    if (input_fd >= 0) {
      ::dup2(input_fd, STDIN_FILENO);
    }
    ::execv(argv[0], argv.data());
    give_up("cannot run " + arguments[0] + ": " + std::strerror(errno));
  }
}

ChildProcess::~ChildProcess() {
  stop();
}

bool ChildProcess::wait() {
  int status = 0;
  if (pid_ <= 0 || ::waitpid(std::exchange(pid_, 0), &status, 0) < 0) {
    return false;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool ChildProcess::ended() {
  if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) {
    pid_ = 0;
  }
  return pid_ == 0;
}

void ChildProcess::stop() {
  if (pid_ > 0) {
    ::kill(pid_, SIGTERM);
    static_cast<void>(wait());
  }
}

}  // namespace kfast::bench
