#pragma once
// Who is at the other end? Devices by token, password or certificate; unregistered ones by a site's
// join token; applications by token.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/io.h"
#include "base/result.h"
#include "twin/knocks.h"
#include "twin/registry.h"

namespace penstock::twin {

/// What a client says of itself (MQTT CONNECT, HTTP Authorization). Views, not kept.
struct Presented {
  std::string_view username;          ///< the device's name; may be empty with a token
  std::string_view secret;            ///< token or password; empty with a certificate
  std::string_view certificate_name;  ///< CN of a certificate that TLS has verified, else empty
  std::string_view peer;              ///< address, with or without a port: for the rate limit
  Timestamp certificate_expires;      ///< of that certificate; 0: none
};

struct DeviceIdentity {
  OrganisationId organisation;
  SiteId site;                 ///< none for an application
  TwinId twin;                 ///< none for an application and a join token
  std::string name;            ///< for logs
  std::string device;          ///< whose namespace devices/{device}/# it has; empty: none
  bool may_provision = false;  ///< a join token: any unregistered device
  std::vector<std::string> publish_filters;  ///< grants beyond the own namespace
  std::vector<std::string> subscribe_filters;
};

enum class Denial : uint8_t {
  kBadCredentials,   ///< unknown, wrong or expired; which one is not told
  kDisabled,         ///< the right credentials of a device that is switched off
  kTooManyAttempts,  ///< of this device from this peer: wait
  kNeedsSlowCheck,   ///< a password to verify: call check_slowly() on a worker thread
};
std::string_view name(Denial denial);

/// Any thread. The memory of attempts and of verified passwords is bounded.
class Identities {
 public:
  struct Options {
    size_t verified_max = 20'000;  ///< passwords remembered as verified, ~150 bytes each
    size_t attempts_max = 20'000;  ///< peers and devices whose attempts are counted
    double device_burst = 5;       ///< password checks of one device from one peer at once …
    double device_per_s = 0.1;     ///< … and after that
    double peer_burst = 200;       ///< of one peer, whatever the device: a plant behind one NAT
    double peer_per_s = 10;
  };

  /// All must outlive it.
  Identities(const TwinRegistry& registry, Clock& clock, Random& random, Options options);
  Identities(const TwinRegistry& registry, Clock& clock, Random& random)
      : Identities(registry, clock, random, Options()) {}
  ~Identities();
  Identities(const Identities&) = delete;
  Identities& operator=(const Identities&) = delete;

  /// Microseconds: fit for a shard. A token is a SHA-256 and a look-up; a password is only known
  /// here when it was verified before (reconnecting devices), else kNeedsSlowCheck.
  /// A correct token passes whatever the rate limit says, so a stranger cannot lock a device out.
  tl::expected<DeviceIdentity, Denial> check(const Presented& presented);

  /// The same, verifying a password with Argon2id: ~20 ms of CPU and 19 MiB. Not on a shard.
  tl::expected<DeviceIdentity, Denial> check_slowly(const Presented& presented);

  /// Who was refused, by the name that they gave.
  [[nodiscard]] const Knocks& knocks() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::twin
