// A broken device is replaced: other hardware feeds the same twin, whose series and history go on.
#include <fmt/format.h>

#include "store/digest.h"
#include "twin/names.h"
#include "twin/password.h"
#include "twin/registry.h"
#include "twin/registry_impl.h"

namespace penstock::twin {

using store::Session;

namespace {

Result<Secret> new_secret(const std::string& token, std::string_view password,
                          const TwinRegistry::Options& options) {
  if (password.empty()) return Secret{CredentialKind::kToken, store::sha256_hex(token)};
  Secret secret{CredentialKind::kPassword, {}};
  TRY_ASSIGN(secret.text,
             hash_password(password, options.password_passes, options.password_memory_bytes));
  return secret;
}

Status write_replacement(Session& session, const DeviceRecord& old, const DeviceRecord& made,
                         const TwinRecord& twin, const Secret& secret,
                         ReplacementRecord& replacement) {
  TRY(session.run("DELETE FROM device_credential WHERE organisation_id = ? AND device = ?",
                  old.organisation, old.name));
  TRY(session.run("UPDATE device SET name = ? WHERE organisation_id = ? AND name = ?", made.name,
                  old.organisation, old.name));
  TRY(session.run(
      "INSERT INTO device_credential (organisation_id, device, kind, secret, created_at) VALUES "
      "(?, ?, ?, ?, ?)",
      made.organisation, made.name, secret.kind, secret.text, made.credential_at));
  TRY(session.run("UPDATE twin SET labels = ?, updated_at = ? WHERE organisation_id = ? AND id = ?",
                  labels_to_text(twin.labels), twin.updated_at, twin.organisation, twin.id));
  TRY_ASSIGN(const int64_t id, session.next_id("device_replacement"));
  TRY(session.run(
      "INSERT INTO device_replacement (organisation_id, id, twin_id, old_device, new_device, "
      "old_serial, new_serial, reason, replaced_by, replaced_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, "
      "?, ?)",
      old.organisation, id, old.twin, replacement.old_device, replacement.new_device,
      replacement.old_serial, replacement.new_serial, replacement.reason, replacement.who,
      replacement.at));
  return {};
}

}  // namespace

Result<DeviceCreated> TwinRegistry::replace_device(OrganisationId organisation,
                                                   std::string_view name,
                                                   const ReplacementDraft& draft) {
  const std::string token = draft.password.empty() ? impl_->new_token() : std::string();
  TRY_ASSIGN(Secret secret, new_secret(token, draft.password, impl_->options));
  TRY(check_text("reason", draft.reason, 2000));
  TRY(check_text("serial", draft.serial, 200));

  const std::lock_guard lock(impl_->writing);
  TRY_ASSIGN(const DevicePtr old, impl_->state.device(organisation, name));
  if (!old->twin)
    return fail(ErrorCode::kConflict, "An application feeds no twin: make a new one instead",
                old->name);
  DeviceRecord device = *old;
  if (!draft.name.empty() && draft.name != old->name) {
    TRY(check_device_name(draft.name));
    if (impl_->state.devices.contains(draft.name))
      return fail(ErrorCode::kAlreadyExists, "A device of that name is registered: choose another",
                  draft.name);
    device.name = draft.name;
  }
  device.enabled = true;
  device.credential = secret.kind;
  device.credential_at = impl_->clock.now();
  TwinRecord twin = *impl_->state.twins.find(old->twin)->second;
  twin.device = device.name;
  twin.updated_at = device.credential_at;
  ReplacementRecord replacement{.old_device = old->name,
                                .new_device = device.name,
                                .old_serial = twin.labels["serial"],
                                .new_serial = draft.serial,
                                .reason = draft.reason,
                                .who = draft.who,
                                .at = device.credential_at};
  // The old number does not stay on the new hardware.
  if (draft.serial.empty())
    twin.labels.erase("serial");
  else
    twin.labels["serial"] = draft.serial;
  TRY(impl_->store.write([&](Session& session) {
    return write_replacement(session, *old, device, twin, secret, replacement);
  }));

  const TwinPtr kept = std::make_shared<const TwinRecord>(std::move(twin));
  const DevicePtr made = impl_->with_config(std::move(device), kept);
  impl_->apply([&](State& state) {
    state.erase(*old);
    state.put(kept);
    state.put(made);
    state.set_secret(made->name, std::move(secret));
  });
  if (made->name != old->name) impl_->tell(DeviceChange{old->name, old->twin, nullptr, true});
  impl_->tell(*made, made->name == old->name);
  return DeviceCreated{made, kept, token};
}

Result<std::vector<ReplacementRecord>> TwinRegistry::replacements(OrganisationId organisation,
                                                                  TwinId twin) const {
  std::vector<ReplacementRecord> out;
  TRY(impl_->store.read([&](Session& session) {
    out.clear();
    return session.each<std::string, std::string, std::string, std::string, std::string,
                        std::string, Timestamp>(
        [&](std::string old_device, std::string new_device, std::string old_serial,
            std::string new_serial, std::string reason, std::string who, Timestamp at) {
          out.push_back({std::move(old_device), std::move(new_device), std::move(old_serial),
                         std::move(new_serial), std::move(reason), std::move(who), at});
        },
        "SELECT old_device, new_device, old_serial, new_serial, reason, replaced_by, replaced_at "
        "FROM device_replacement WHERE organisation_id = ? AND twin_id = ? ORDER BY id DESC",
        organisation, twin);
  }));
  return out;
}

}  // namespace penstock::twin
