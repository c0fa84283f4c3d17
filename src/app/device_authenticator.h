#pragma once
// Who may connect over MQTT: the registry's devices, applications and join tokens.

#include "app/worker_pool.h"
#include "interop/mqtt/endpoint.h"
#include "twin/identity.h"

namespace penstock::app {

/// Any thread. What costs microseconds is answered at once, passwords on the workers.
class DeviceAuthenticator final : public interop::mqtt::Authenticator {
 public:
  /// `anonymous`: the organisation that clients of an anonymous listener act in.
  DeviceAuthenticator(twin::Identities& identities, OrganisationId anonymous, WorkerPool& workers)
      : identities_(identities), anonymous_(anonymous), workers_(workers) {}
  void authenticate(const interop::mqtt::ConnectInfo& info,
                    std::function<void(Outcome)> done) override;

 private:
  [[nodiscard]] Outcome anybody() const;

  twin::Identities& identities_;
  OrganisationId anonymous_;
  WorkerPool& workers_;
};

}  // namespace penstock::app
