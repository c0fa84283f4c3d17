#include "twin/identity.h"

#include <algorithm>
#include <array>
#include <list>
#include <mutex>
#include <unordered_map>

#include <sodium.h>

#include "store/digest.h"
#include "twin/password.h"
#include "twin/wire_parts.h"

namespace penstock::twin {
namespace {

using Outcome = tl::expected<DeviceIdentity, Denial>;

Outcome denied(Denial denial) { return tl::unexpected<Denial>(denial); }

bool is_token(std::string_view text) { return text.starts_with("pst_"); }

// The least recently used entry goes when a new one finds no room.
template <class Value>
class BoundedMap {
 public:
  explicit BoundedMap(size_t entries_max) : entries_max_(std::max<size_t>(1, entries_max)) {}

  Value* find(const std::string& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return &found->second->second;
  }
  Value& at(const std::string& key, const Value& first) {
    if (Value* known = find(key)) return *known;
    if (index_.size() >= entries_max_) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    order_.emplace_front(key, first);
    index_[key] = order_.begin();
    return order_.front().second;
  }

 private:
  size_t entries_max_;
  std::list<std::pair<std::string, Value>> order_;
  std::unordered_map<std::string, typename std::list<std::pair<std::string, Value>>::iterator>
      index_;
};

struct Bucket {
  double tokens = 0;
  int64_t filled_us = 0;

  void fill(int64_t now_us, double per_s, double burst) {
    tokens = std::min(burst, tokens + static_cast<double>(now_us - filled_us) / 1e6 * per_s);
    filled_us = now_us;
  }
};

// 10.0.0.7:1234 and [::1]:1234 without their ports, which change with each connection.
std::string_view host_of(std::string_view peer) {
  if (peer.starts_with('[')) return peer.substr(0, peer.find(']') + 1);
  const size_t colon = peer.find(':');
  if (colon != std::string_view::npos && colon == peer.rfind(':')) return peer.substr(0, colon);
  return peer;
}

// An edge node, named group:node, may send its own births, data and deaths, and hear what is
// addressed to it and whether hosts are there. A device behind one has no connection of its own.
void grant_sparkplug(DeviceIdentity& identity) {
  const std::vector<std::string> parts = wire_parts(identity.device);
  if (parts.size() != 2) return;
  const std::string& node = parts[1];
  const std::string root = "spBv1.0/" + parts[0] + "/";
  for (const char* type : {"NBIRTH/", "NDATA/", "NDEATH/"})
    identity.publish_filters.push_back(root + type + node);
  for (const char* type : {"DBIRTH/", "DDATA/", "DDEATH/"})
    identity.publish_filters.push_back(root + type + node + "/+");
  for (const char* type : {"NCMD/", "DCMD/"})
    identity.subscribe_filters.push_back(root + type + node + "/#");
  identity.subscribe_filters.emplace_back("spBv1.0/STATE/#");
}

DeviceIdentity identity_of(const DeviceRecord& device) {
  DeviceIdentity identity;
  identity.organisation = device.organisation;
  identity.twin = device.twin;
  if (device.config) identity.site = device.config->site;
  identity.name = device.name;
  if (device.twin) identity.device = device.name;
  identity.publish_filters = device.publish_filters;
  identity.subscribe_filters = device.subscribe_filters;
  if (device.protocol == "sparkplug") grant_sparkplug(identity);
  return identity;
}

Outcome admit(const DevicePtr& device) {
  if (!device) return denied(Denial::kBadCredentials);
  if (!device->enabled) return denied(Denial::kDisabled);
  return identity_of(*device);
}

}  // namespace

std::string_view name(Denial denial) {
  switch (denial) {
    case Denial::kBadCredentials:
      return "bad_credentials";
    case Denial::kDisabled:
      return "disabled";
    case Denial::kTooManyAttempts:
      return "too_many_attempts";
    case Denial::kNeedsSlowCheck:
      break;
  }
  return "needs_slow_check";
}

struct Identities::Impl {
  const TwinRegistry& registry;
  Clock& clock;
  Options options;
  std::array<unsigned char, crypto_auth_hmacsha256_KEYBYTES> key{};

  std::mutex guard;  // held for a look-up, never while hashing
  BoundedMap<bool> verified;
  BoundedMap<Bucket> attempts;
  Knocks knocks;

  Impl(const TwinRegistry& registry_, Clock& clock_, Random& random, Options options_)
      : registry(registry_),
        clock(clock_),
        options(options_),
        verified(options_.verified_max),
        attempts(options_.attempts_max) {
    random.fill(std::as_writable_bytes(std::span(key)));
  }

  // What stands for a verified password: keyed, so that memory holds no fast hash of it; over the
  // Argon2id string (with its salt), so that a new password forgets the old one.
  std::string mark(std::string_view hash, std::string_view secret) const {
    std::string message(hash);
    message += '\0';
    message += secret;
    std::string out(crypto_auth_hmacsha256_BYTES, '\0');
    crypto_auth_hmacsha256(reinterpret_cast<unsigned char*>(out.data()),
                           reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                           key.data());
    return out;
  }

  // REQUIRES: guard is held. Null: the burst is used up.
  Bucket* bucket(const std::string& of, double per_s, double burst, int64_t now_us) {
    Bucket& found = attempts.at(of, Bucket{burst, now_us});
    found.fill(now_us, per_s, burst);
    return found.tokens >= 1 ? &found : nullptr;
  }

  // Whether a check may start. `take`: it does start, and counts until it succeeds.
  bool may_try(const Presented& presented, bool take) {
    const std::string_view host = host_of(presented.peer);
    const int64_t now_us = clock.monotonic_us();
    const std::lock_guard lock(guard);
    // One at a time: the second look-up may evict what the first one found.
    if (!bucket("p" + std::string(host), options.peer_per_s, options.peer_burst, now_us))
      return false;
    const std::string device_key = "d" + std::string(presented.username) + "\n" + std::string(host);
    Bucket* device = bucket(device_key, options.device_per_s, options.device_burst, now_us);
    if (!device) return false;
    if (take) {
      device->tokens -= 1;
      if (Bucket* peer =
              bucket("p" + std::string(host), options.peer_per_s, options.peer_burst, now_us))
        peer->tokens -= 1;
    }
    return true;
  }

  void give_back(const Presented& presented, const std::string& verified_mark) {
    const std::string_view host = host_of(presented.peer);
    const std::lock_guard lock(guard);
    verified.at(verified_mark, true);
    const std::string device_key = "d" + std::string(presented.username) + "\n" + std::string(host);
    if (Bucket* device = attempts.find(device_key)) device->tokens += 1;
    if (Bucket* peer = attempts.find("p" + std::string(host))) peer->tokens += 1;
  }

  Outcome quickly(const Presented& presented);
  /// Remembers who was refused, and the certificate of who was not.
  Outcome noted(const Presented& presented, Outcome outcome);

  Outcome by_token(std::string_view username, std::string_view token) const {
    const std::string digest = store::sha256_hex(token);
    if (const DevicePtr device = registry.device_by_token(digest)) {
      if (!username.empty() && username != device->name) return denied(Denial::kBadCredentials);
      return admit(device);
    }
    const JoinTokenPtr join = registry.join_token_by_digest(digest);
    if (!join || (join->expires_at.us != 0 && join->expires_at <= clock.now()))
      return denied(Denial::kBadCredentials);
    DeviceIdentity identity;
    identity.organisation = join->organisation;
    identity.site = join->site;
    identity.name = "join:" + std::to_string(join->id);
    identity.may_provision = true;
    return identity;
  }
};

Identities::Identities(const TwinRegistry& registry, Clock& clock, Random& random, Options options)
    : impl_(std::make_unique<Impl>(registry, clock, random, options)) {}
Identities::~Identities() = default;

const Knocks& Identities::knocks() const { return impl_->knocks; }

Outcome Identities::check(const Presented& presented) {
  return impl_->noted(presented, impl_->quickly(presented));
}

Outcome Identities::Impl::noted(const Presented& presented, Outcome outcome) {
  if (outcome) {
    if (presented.certificate_expires.us != 0 && !outcome->device.empty())
      knocks.admitted(outcome->device, presented.certificate_expires);
    return outcome;
  }
  if (outcome.error() == Denial::kNeedsSlowCheck) return outcome;
  const std::string_view called = presented.username.empty() || is_token(presented.username)
                                      ? presented.certificate_name
                                      : presented.username;
  if (!called.empty())
    knocks.refused(called, name(outcome.error()), host_of(presented.peer), clock.now());
  return outcome;
}

Outcome Identities::Impl::quickly(const Presented& presented) {
  if (!presented.certificate_name.empty() && presented.secret.empty()) {
    if (!presented.username.empty() && presented.username != presented.certificate_name)
      return denied(Denial::kBadCredentials);
    return admit(registry.device(presented.certificate_name));
  }
  if (is_token(presented.secret)) return by_token(presented.username, presented.secret);
  // Some clients can set a user name only: the token may stand there.
  if (presented.secret.empty() && is_token(presented.username))
    return by_token({}, presented.username);
  if (presented.secret.empty() || presented.username.empty())
    return denied(Denial::kBadCredentials);

  const std::string hash = registry.password_hash(presented.username);
  if (hash.empty()) return denied(Denial::kBadCredentials);
  const std::string proof = mark(hash, presented.secret);
  {
    const std::lock_guard lock(guard);
    if (verified.find(proof)) return admit(registry.device(presented.username));
  }
  return denied(may_try(presented, false) ? Denial::kNeedsSlowCheck : Denial::kTooManyAttempts);
}

Outcome Identities::check_slowly(const Presented& presented) {
  Outcome quick = impl_->quickly(presented);
  if (quick || quick.error() != Denial::kNeedsSlowCheck) return impl_->noted(presented, quick);
  if (!impl_->may_try(presented, true))
    return impl_->noted(presented, denied(Denial::kTooManyAttempts));
  const std::string hash = impl_->registry.password_hash(presented.username);
  if (hash.empty() || !verify_password(hash, presented.secret))
    return impl_->noted(presented, denied(Denial::kBadCredentials));
  impl_->give_back(presented, impl_->mark(hash, presented.secret));
  return admit(impl_->registry.device(presented.username));
}

}  // namespace penstock::twin
