#include "app/device_authenticator.h"

namespace penstock::app {

using interop::mqtt::Authenticator;
using interop::mqtt::AuthFailure;
using interop::mqtt::ConnectInfo;
using interop::mqtt::Principal;

namespace {

twin::Presented presented(const ConnectInfo& info) {
  return {info.username, info.password, info.certificate_subject, info.peer_address,
          info.certificate_expires};
}

Authenticator::Outcome to_outcome(tl::expected<twin::DeviceIdentity, twin::Denial> identity) {
  if (!identity) {
    switch (identity.error()) {
      case twin::Denial::kTooManyAttempts:
        return tl::unexpected(AuthFailure::kServerBusy);
      case twin::Denial::kDisabled:
        return tl::unexpected(AuthFailure::kNotAuthorized);
      default:
        return tl::unexpected(AuthFailure::kBadCredentials);
    }
  }
  auto principal = std::make_shared<Principal>();
  principal->organisation = identity->organisation;
  principal->name = std::move(identity->name);
  principal->device = std::move(identity->device);
  principal->may_provision = identity->may_provision;
  principal->publish_filters = std::move(identity->publish_filters);
  principal->subscribe_filters = std::move(identity->subscribe_filters);
  return std::shared_ptr<const Principal>(std::move(principal));
}

}  // namespace

Authenticator::Outcome DeviceAuthenticator::anybody() const {
  auto principal = std::make_shared<Principal>();
  principal->organisation = anonymous_;
  principal->name = "anonymous";
  principal->unrestricted = true;
  return std::shared_ptr<const Principal>(std::move(principal));
}

void DeviceAuthenticator::authenticate(const ConnectInfo& info, std::function<void(Outcome)> done) {
  const bool shows_nothing =
      !info.has_username && !info.has_password && info.certificate_subject.empty();
  if (shows_nothing && info.allow_anonymous) return done(anybody());
  auto identity = identities_.check(presented(info));
  if (identity || identity.error() != twin::Denial::kNeedsSlowCheck) {
    // Who could come without credentials may come with any; those of a device still make it that
    // device, and those of one that is switched off keep it out.
    const bool unknown = !identity && identity.error() == twin::Denial::kBadCredentials;
    done(unknown && info.allow_anonymous ? anybody() : to_outcome(std::move(identity)));
    return;
  }
  const bool queued = workers_.submit(
      [this, info, done] { done(to_outcome(identities_.check_slowly(presented(info)))); });
  if (!queued) done(tl::unexpected(AuthFailure::kServerBusy));
}

}  // namespace penstock::app
