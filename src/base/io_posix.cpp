#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/io.h"

namespace penstock {
namespace {

tl::unexpected<Error> os_error(const char* what, const std::string& path) {
  const int number = errno;
  ErrorCode code = ErrorCode::kIo;
  if (number == ENOENT) code = ErrorCode::kNotFound;
  if (number == EEXIST) code = ErrorCode::kAlreadyExists;
  if (number == ENOSPC || number == EDQUOT) code = ErrorCode::kResourceExhausted;
  if (number == EACCES || number == EPERM) code = ErrorCode::kPermissionDenied;
  return fail(code, std::string(what) + " failed: " + std::strerror(number), path);
}

class SystemClock final : public Clock {
 public:
  Timestamp now() const override { return {read(CLOCK_REALTIME)}; }
  int64_t monotonic_us() const override { return read(CLOCK_MONOTONIC); }

 private:
  static int64_t read(clockid_t id) {
    timespec t{};
    clock_gettime(id, &t);
    return static_cast<int64_t>(t.tv_sec) * 1'000'000 + t.tv_nsec / 1000;
  }
};

class SystemRandom final : public Random {
 public:
  void fill(std::span<std::byte> out) override {
    while (!out.empty()) {
      const ssize_t n = getrandom(out.data(), out.size(), 0);
      if (n < 0 && errno == EINTR) continue;
      CHECK(n > 0);
      out = out.subspan(static_cast<size_t>(n));
    }
  }
};

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixFile() override { ::close(fd_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Status append(std::span<const std::byte> data) override {
    while (!data.empty()) {
      const ssize_t n = ::write(fd_, data.data(), data.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return os_error("write", path_);
      data = data.subspan(static_cast<size_t>(n));
    }
    return {};
  }
  Status write_at(uint64_t offset, std::span<const std::span<const std::byte>> parts) override {
    std::array<iovec, 64> vectors{};
    size_t part = 0;
    size_t skip = 0;  // bytes of `part` that are written
    while (part < parts.size()) {
      int count = 0;
      for (size_t i = part; i < parts.size() && count < 64; ++i) {
        const auto bytes = i == part ? parts[i].subspan(skip) : parts[i];
        vectors[static_cast<size_t>(count++)] = {const_cast<std::byte*>(bytes.data()),
                                                 bytes.size()};
      }
      const ssize_t n = ::pwritev(fd_, vectors.data(), count, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return os_error("write", path_);
      offset += static_cast<uint64_t>(n);
      skip += static_cast<size_t>(n);
      while (part < parts.size() && skip >= parts[part].size()) skip -= parts[part++].size();
    }
    return {};
  }
  Result<size_t> read_at(uint64_t offset, std::span<std::byte> out) const override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t n =
          ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return os_error("read", path_);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }
  Status sync() override {
    if (::fdatasync(fd_) != 0) return os_error("fdatasync", path_);
    return {};
  }
  Status truncate(uint64_t size) override {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return os_error("truncate", path_);
    return {};
  }
  Result<uint64_t> size() const override {
    struct stat s{};
    if (::fstat(fd_, &s) != 0) return os_error("fstat", path_);
    return static_cast<uint64_t>(s.st_size);
  }
  void preallocate(uint64_t bytes) override {
    // KEEP_SIZE: the end of the file stays where the last append ended, which recovery relies on.
    (void)::fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes));
  }
  void drop_cache() override { (void)::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED); }

 private:
  int fd_;
  std::string path_;
};

class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(int fd) : fd_(fd) {}
  ~PosixFileLock() override { ::close(fd_); }
  PosixFileLock(const PosixFileLock&) = delete;
  PosixFileLock& operator=(const PosixFileLock&) = delete;

 private:
  int fd_;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    int flags = O_CLOEXEC;
    if (mode == OpenMode::kRead) flags |= O_RDONLY;
    if (mode == OpenMode::kAppend) flags |= O_RDWR | O_CREAT | O_APPEND;
    if (mode == OpenMode::kCreateNew) flags |= O_RDWR | O_CREAT | O_EXCL | O_APPEND;
    if (mode == OpenMode::kWrite) flags |= O_RDWR;
    if (mode == OpenMode::kWriteNew) flags |= O_RDWR | O_CREAT | O_EXCL;
    const int fd = ::open(path.c_str(), flags, 0640);
    if (fd < 0) return os_error("open", path);
    return std::make_unique<PosixFile>(fd, path);
  }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) return os_error("open", path);
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return std::make_unique<PosixFileLock>(fd);
    const bool taken = errno == EWOULDBLOCK;
    const Error error = os_error("lock", path).value();
    ::close(fd);
    if (taken)
      return fail(ErrorCode::kConflict, "another Penstock uses this folder: stop it", path);
    return fail(error);
  }
  Status create_directories(const std::string& path) override {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) {
      errno = error.value();
      return os_error("mkdir", path);
    }
    return {};
  }
  Result<std::vector<std::string>> list(const std::string& path) override {
    std::error_code error;
    std::vector<std::string> names;
    for (auto it = std::filesystem::directory_iterator(path, error);
         !error && it != std::filesystem::directory_iterator(); it.increment(error))
      names.push_back(it->path().filename().string());
    if (error) {
      errno = error.value();
      return os_error("list", path);
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return os_error("remove", path);
    return {};
  }
  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return os_error("rename", from);
    return {};
  }
  Status sync_directory(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return os_error("open", path);
    const int failed = ::fsync(fd);
    Status status;
    if (failed != 0) status = os_error("fsync", path);
    ::close(fd);
    return status;
  }
  bool exists(const std::string& path) override { return ::access(path.c_str(), F_OK) == 0; }
  Result<uint64_t> free_bytes(const std::string& path) override {
    struct statvfs s{};
    if (::statvfs(path.c_str(), &s) != 0) return os_error("statvfs", path);
    return static_cast<uint64_t>(s.f_bavail) * s.f_frsize;
  }
};

}  // namespace

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}
Random& system_random() {
  static SystemRandom random;
  return random;
}
FileSystem& system_files() {
  static PosixFileSystem files;
  return files;
}

}  // namespace penstock
