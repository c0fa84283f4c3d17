#pragma once
// Bridges in the registry: every change is a version with who made it. Secrets are sealed with a
// key that lies beside the registry, not in it: a copy of the registry does not give them away.

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/io.h"
#include "interop/mqtt/bridge_config.h"
#include "store/registry.h"

namespace penstock::interop::mqtt {

/// Any thread.
class BridgeStore final : public BridgeBook {
 public:
  /// `key_file`: made where it is missing, readable by its owner only. kCorrupt: it is no key, or
  /// not the one that sealed what is stored.
  static Result<std::unique_ptr<BridgeStore>> open(store::Registry& registry, FileSystem& files,
                                                   Clock& clock, Random& random,
                                                   const std::string& key_file);

  /// Told after a change is stored, on the thread that made it: the bridge as it is now, or (null)
  /// that it is gone.
  using Listener = std::function<void(const std::string& name, const BridgeRecord* now,
                                      const BridgeSecrets& secrets)>;
  /// First tells of every bridge there is.
  void subscribe(Listener listener);
  /// Who knows how a bridge is doing.
  void set_status(std::function<BridgeStatus(std::string_view)> status);

  std::vector<BridgeRecord> bridges(OrganisationId organisation) override;
  Result<BridgeRecord> bridge(OrganisationId organisation, std::string_view name) override;
  Result<std::vector<BridgeVersion>> versions(OrganisationId organisation,
                                              std::string_view name) override;
  Result<BridgeRecord> create(OrganisationId organisation, const Json& document,
                              std::string_view who) override;
  Result<BridgeRecord> change(OrganisationId organisation, std::string_view name,
                              const Json& document, std::string_view who) override;
  Status remove(OrganisationId organisation, std::string_view name, std::string_view who) override;
  BridgeStatus status(std::string_view name) override;

 private:
  struct Entry {
    BridgeRecord record;
    BridgeSecrets secrets;
  };
  BridgeStore(store::Registry& registry, Clock& clock, Random& random)
      : registry_(registry), clock_(clock), random_(random) {}
  Status open_key(FileSystem& files, const std::string& key_file);
  Status load();
  Status write(Entry& entry, bool fresh, std::string_view who);
  [[nodiscard]] Result<Entry> find(OrganisationId organisation, std::string_view name) const;
  [[nodiscard]] std::string seal(const BridgeSecrets& secrets) const;
  [[nodiscard]] Result<BridgeSecrets> unseal(std::string_view sealed) const;

  store::Registry& registry_;
  Clock& clock_;
  Random& random_;
  std::array<unsigned char, 32> key_{};
  std::mutex change_mutex_;  ///< one change at a time, told in order
  Listener listener_;        ///< guarded by change_mutex_
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;  ///< by name
  std::function<BridgeStatus(std::string_view)> status_;
};

}  // namespace penstock::interop::mqtt
