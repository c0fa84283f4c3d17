#include "base/io_sim.h"

#include <algorithm>
#include <cstring>

namespace penstock {
namespace {

constexpr uint64_t kSector = 512;

std::string parent(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}
tl::unexpected<Error> stale(const std::string& path) {
  return fail(ErrorCode::kIo, "the simulated process that opened it is dead", path);
}

}  // namespace

void SimRandom::fill(std::span<std::byte> out) {
  for (std::byte& b : out) b = static_cast<std::byte>(next());
}
uint64_t SimRandom::next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

class SimFile final : public File {
 public:
  SimFile(SimFileSystem& files, SimFileSystem::InodePtr inode, std::string path)
      : files_(files),
        inode_(std::move(inode)),
        path_(std::move(path)),
        generation_(files.generation_) {}

  Status append(std::span<const std::byte> data) override {
    const std::lock_guard lock(files_.mutex_);
    return write(inode_->seen.size(), data);
  }
  Status write_at(uint64_t offset, std::span<const std::span<const std::byte>> parts) override {
    const std::lock_guard lock(files_.mutex_);
    for (const auto part : parts) {
      TRY(write(offset, part));
      offset += part.size();
    }
    return {};
  }
  Result<size_t> read_at(uint64_t offset, std::span<std::byte> out) const override {
    const std::lock_guard lock(files_.mutex_);
    if (generation_ != files_.generation_) return stale(path_);
    if (offset >= inode_->seen.size()) return size_t{0};
    const size_t n = std::min<uint64_t>(out.size(), inode_->seen.size() - offset);
    if (n > 0) std::memcpy(out.data(), inode_->seen.data() + offset, n);
    return n;
  }
  Status sync() override {
    const std::lock_guard lock(files_.mutex_);
    if (generation_ != files_.generation_) return stale(path_);
    ++files_.syncs_;
    const bool fails = files_.syncs_to_fail_ > 0;
    if (fails) --files_.syncs_to_fail_;
    if (inode_->size_dirty && (!fails || files_.random_.chance(0.5)))
      inode_->durable.resize(inode_->seen.size());
    for (const uint64_t sector : inode_->dirty)
      if (!fails || files_.random_.chance(0.5)) files_.persist_sector(*inode_, sector);
    inode_->dirty.clear();
    inode_->size_dirty = false;
    if (fails) return fail(ErrorCode::kIo, "fdatasync failed: simulated EIO", path_);
    return {};
  }
  Status truncate(uint64_t size) override {
    const std::lock_guard lock(files_.mutex_);
    if (generation_ != files_.generation_) return stale(path_);
    inode_->seen.resize(size);
    inode_->size_dirty = true;
    inode_->dirty.erase(inode_->dirty.lower_bound((size + kSector - 1) / kSector),
                        inode_->dirty.end());
    return {};
  }
  Result<uint64_t> size() const override {
    const std::lock_guard lock(files_.mutex_);
    if (generation_ != files_.generation_) return stale(path_);
    return inode_->seen.size();
  }
  void drop_cache() override {
    const std::lock_guard lock(files_.mutex_);
    SimFileSystem::Inode& inode = *inode_;
    for (uint64_t at = 0; at < inode.seen.size(); at += kSector) {
      if (inode.dirty.contains(at / kSector)) continue;
      for (uint64_t i = at; i < std::min<uint64_t>(at + kSector, inode.seen.size()); ++i)
        inode.seen[i] = i < inode.durable.size() ? inode.durable[i] : std::byte{0};
    }
  }

 private:
  Status write(uint64_t offset, std::span<const std::byte> data) {
    if (generation_ != files_.generation_) return stale(path_);
    SimFileSystem::Inode& inode = *inode_;
    uint64_t room = data.size();
    const uint64_t end = offset + data.size();
    const uint64_t used = files_.used();
    Status status;
    if (end > inode.seen.size() && used + (end - inode.seen.size()) > files_.capacity_) {
      const uint64_t free = files_.capacity_ > used ? files_.capacity_ - used : 0;
      const uint64_t reach = inode.seen.size() + free;
      room = reach > offset ? std::min<uint64_t>(room, reach - offset) : 0;
      status = fail(ErrorCode::kResourceExhausted, "write failed: simulated ENOSPC", path_);
    }
    if (room > 0 && files_.random_.chance(files_.write_failure_)) {
      room = files_.random_.below(room);
      status = fail(ErrorCode::kIo, "write failed: simulated EIO", path_);
    }
    if (room == 0) return status;
    if (offset + room > inode.seen.size()) {
      inode.seen.resize(offset + room);
      inode.size_dirty = true;
    }
    std::memcpy(inode.seen.data() + offset, data.data(), room);
    for (uint64_t s = offset / kSector; s <= (offset + room - 1) / kSector; ++s)
      inode.dirty.insert(s);
    return status;
  }

  SimFileSystem& files_;
  SimFileSystem::InodePtr inode_;
  std::string path_;
  uint64_t generation_;
};

class SimFileLock final : public FileLock {
 public:
  SimFileLock(SimFileSystem& files, std::string path)
      : files_(files), path_(std::move(path)), generation_(files.generation_) {}
  ~SimFileLock() override {
    const std::lock_guard lock(files_.mutex_);
    if (generation_ == files_.generation_) files_.locks_.erase(path_);
  }
  SimFileLock(const SimFileLock&) = delete;
  SimFileLock& operator=(const SimFileLock&) = delete;

 private:
  SimFileSystem& files_;
  std::string path_;
  uint64_t generation_;
};

void SimFileSystem::persist_sector(Inode& inode, uint64_t sector) {
  const uint64_t from = sector * kSector;
  const uint64_t to = std::min<uint64_t>({from + kSector, inode.seen.size(), inode.durable.size()});
  if (from < to) std::memcpy(inode.durable.data() + from, inode.seen.data() + from, to - from);
}

uint64_t SimFileSystem::used() const {
  uint64_t sum = 0;
  for (const auto& [path, inode] : names_)
    if (inode) sum += inode->seen.size();
  return sum;
}

void SimFileSystem::apply(std::map<std::string, InodePtr>& names, const Rename& change) {
  if (!change.from.empty() && names.erase(change.from) == 0 && !change.to.empty()) return;
  if (!change.to.empty()) names[change.to] = change.inode;
}

void SimFileSystem::forget_handles() {
  ++generation_;
  locks_.clear();
}

void SimFileSystem::kill() {
  const std::lock_guard lock(mutex_);
  forget_handles();
}

void SimFileSystem::crash() {
  const std::lock_guard lock(mutex_);
  forget_handles();
  for (const Rename& change : pending_)
    if (random_.chance(0.5)) apply(durable_names_, change);
  pending_.clear();
  names_ = durable_names_;
  for (const auto& [path, inode] : names_) {
    if (!inode) continue;
    if (inode->size_dirty && random_.chance(0.5)) {
      inode->durable.resize(inode->seen.size());
    } else if (inode->size_dirty && random_.chance(0.5)) {
      const auto [low, high] = std::minmax({inode->durable.size(), inode->seen.size()});
      inode->durable.resize(low + random_.below(high - low + 1));
    }
    for (const uint64_t sector : inode->dirty)
      if (random_.chance(0.5)) persist_sector(*inode, sector);
    inode->dirty.clear();
    inode->size_dirty = false;
    inode->seen = inode->durable;
  }
}

Result<std::unique_ptr<File>> SimFileSystem::open(const std::string& path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  auto it = names_.find(path);
  const bool found = it != names_.end();
  const bool fresh = mode == OpenMode::kCreateNew || mode == OpenMode::kWriteNew;
  if (found && (fresh || !it->second))
    return fail(ErrorCode::kAlreadyExists, "open failed: it exists", path);
  if (!found && !fresh && mode != OpenMode::kAppend)
    return fail(ErrorCode::kNotFound, "open failed: no such file", path);
  if (!found && !names_.contains(parent(path)))
    return fail(ErrorCode::kNotFound, "open failed: no such folder", path);
  if (!found) {
    it = names_.emplace(path, std::make_shared<Inode>()).first;
    pending_.push_back({{}, path, it->second});
  }
  return std::make_unique<SimFile>(*this, it->second, path);
}

Result<std::unique_ptr<FileLock>> SimFileSystem::lock(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!locks_.insert(path).second)
    return fail(ErrorCode::kConflict, "another Penstock uses this folder: stop it", path);
  return std::make_unique<SimFileLock>(*this, path);
}

// Folders are there at once and for good: that they may vanish is not what is tested here.
Status SimFileSystem::create_directories(const std::string& path) {
  const std::lock_guard lock(mutex_);
  for (std::string at = path; !at.empty(); at = parent(at)) {
    names_.emplace(at, nullptr);
    durable_names_.emplace(at, nullptr);
  }
  return {};
}

Result<std::vector<std::string>> SimFileSystem::list(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!names_.contains(path))
    return fail(ErrorCode::kNotFound, "list failed: no such folder", path);
  std::vector<std::string> out;
  for (const auto& [name, inode] : names_)
    if (parent(name) == path && name != path) out.push_back(name.substr(path.size() + 1));
  return out;
}

Status SimFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto it = names_.find(path);
  if (it == names_.end()) return fail(ErrorCode::kNotFound, "remove failed: no such file", path);
  pending_.push_back({path, {}, it->second});
  names_.erase(it);
  return {};
}

Status SimFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  const auto it = names_.find(from);
  if (it == names_.end()) return fail(ErrorCode::kNotFound, "rename failed: no such file", from);
  const Rename change{from, to, it->second};
  apply(names_, change);
  pending_.push_back(change);
  return {};
}

Status SimFileSystem::sync_directory(const std::string& given) {
  const std::lock_guard lock(mutex_);
  const std::string path = given.ends_with('/') ? given.substr(0, given.size() - 1) : given;
  ++syncs_;
  if (syncs_to_fail_ > 0) {
    --syncs_to_fail_;
    return fail(ErrorCode::kIo, "fsync failed: simulated EIO", path);
  }
  std::erase_if(pending_, [&](const Rename& change) {
    if (parent(change.to.empty() ? change.from : change.to) != path) return false;
    apply(durable_names_, change);
    return true;
  });
  return {};
}

bool SimFileSystem::exists(const std::string& path) {
  const std::lock_guard lock(mutex_);
  return names_.contains(path);
}

Result<uint64_t> SimFileSystem::free_bytes(const std::string&) {
  const std::lock_guard lock(mutex_);
  const uint64_t taken = used();
  return capacity_ > taken ? capacity_ - taken : 0;
}

}  // namespace penstock
