#pragma once
// Claim codes: printed on a label, a device exchanges one for its credentials, once.

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/io.h"
#include "base/result.h"
#include "store/registry.h"
#include "twin/registry.h"

namespace penstock::twin {

struct ClaimDraft {
  std::string name;  ///< of the devices; "{n}" becomes a number, which is needed for more than one
  std::string site, model, binding, protocol = "mqtt", note;
  uint32_t count = 1, first = 1;  ///< "{n}" counts from `first`
  Timestamp expires_at;
};

struct ClaimRecord {
  uint64_t id = 0;
  OrganisationId organisation;
  std::string name, site, model, binding, protocol, note, created_by;
  Timestamp created_at, expires_at;
  Timestamp used_at;   ///< 0: not yet
  std::string serial;  ///< what the device said of itself
};

struct ClaimMade {
  ClaimRecord record;
  std::string code;  ///< "7KQ4-X2MD-…": shown once, only its digest is kept
};

struct OnboardingOptions {
  uint32_t claims_at_once_max = 10'000;
  uint32_t claims_open_max = 100'000;
  double attempts_per_minute = 10;  ///< wrong codes from one address
  size_t addresses_max = 10'000;
};

/// Any thread.
class Onboarding {
 public:
  /// All must outlive it.
  static Result<std::unique_ptr<Onboarding>> open(store::Registry& registry, TwinRegistry& twins,
                                                  Clock& clock, Random& random,
                                                  OnboardingOptions options);
  static Result<std::unique_ptr<Onboarding>> open(store::Registry& registry, TwinRegistry& twins,
                                                  Clock& clock, Random& random) {
    return open(registry, twins, clock, random, OnboardingOptions());
  }

  /// All or nothing. Site, model and binding must be there; the names must be free.
  Result<std::vector<ClaimMade>> create_claims(OrganisationId organisation, const ClaimDraft& draft,
                                               std::string_view who);
  /// By id, after `after`.
  Result<std::vector<ClaimRecord>> claims(OrganisationId organisation, uint64_t after,
                                          size_t limit);
  Status delete_claim(OrganisationId organisation, uint64_t id);
  /// The code becomes a device, once. kUnauthenticated: no such code, used or expired: which one is
  /// not told. kResourceExhausted: too many wrong codes from `peer`. Where the server died
  /// half-way, the same code gives the same device new credentials.
  Result<DeviceCreated> claim(std::string_view code, std::string_view serial,
                              std::string_view peer);

 private:
  Onboarding(store::Registry& registry, TwinRegistry& twins, Clock& clock, Random& random,
             OnboardingOptions options);
  std::string new_code();
  bool may_try(std::string_view peer);
  void count_failure(std::string_view peer);

  store::Registry& registry_;
  TwinRegistry& twins_;
  Clock& clock_;
  Random& random_;
  OnboardingOptions options_;
  std::mutex claiming_;  ///< one at a time: a code is used once
  std::mutex mutex_;
  struct Bucket {
    double failures = 0;
    int64_t at_us = 0;
  };
  std::unordered_map<std::string, Bucket> failures_;
};

}  // namespace penstock::twin
