#pragma once
// What was refused and who spoke unregistered, as people see it: bounded, newest first, rebuilt
// from checkpoint and journal.

#include <deque>
#include <map>
#include <mutex>

#include "base/bytes.h"
#include "stream/records.h"
#include "stream/views.h"

namespace penstock::stream {

struct RawViewLimits {
  size_t dead_letters_max = 10'000;
  size_t dead_letter_bytes_max = 8 << 20;
  size_t discovered_max = 10'000;  ///< devices an organisation
  size_t samples_max = 8;          ///< messages kept of a discovered device …
  size_t sample_bytes_max = 4096;  ///< … of so many bytes …
  size_t samples_bytes_max =
      32 << 20;  ///< … and of all together: above it a device keeps its newest
};

/// Fed by one thread in journal order; read by any. What the limits push out stays in the journal
/// until that is trimmed.
class RawViews final : public DeadLetterView, public DiscoveryView {
 public:
  explicit RawViews(RawViewLimits limits = {}) : limits_(limits) {}

  /// kDeadLetter and kDiscovery records; others are ignored. `at` is the record's journal offset.
  void apply(RecordType type, uint64_t at, ByteView body);
  void snapshot(Bytes& out) const;
  [[nodiscard]] Status restore(ByteView bytes);

  Result<std::vector<DeadLetter>> dead_letters(const Filter& filter, size_t limit) override;
  uint64_t dead_letter_count(OrganisationId organisation) override;
  Result<std::vector<DiscoveredDevice>> discovered(OrganisationId organisation,
                                                   std::string_view after, size_t limit) override;
  Result<DiscoveredDevice> discovered_device(OrganisationId organisation,
                                             std::string_view device) override;
  uint64_t discovered_count(OrganisationId organisation) override;
  Status dismiss(OrganisationId organisation, std::string_view device) override;
  /// Where the journal's first message lies that a person may still want read again: of a device
  /// not accepted yet, or a dead letter. UINT64_MAX: none.
  [[nodiscard]] uint64_t first_offset() const;

 private:
  using Key = std::pair<OrganisationId, std::string>;
  void add_dead_letter(DeadLetter letter);
  void add_sample(DiscoveredDevice& device, DiscoverySample sample);
  void snapshot_samples(Bytes& out) const;
  void restore_samples(ByteReader& in);

  RawViewLimits limits_;
  mutable std::mutex mutex_;
  std::deque<DeadLetter> letters_;  // oldest first
  size_t letter_bytes_ = 0;
  std::map<OrganisationId, uint64_t> letter_counts_;  // ever, not only those kept
  std::map<Key, DiscoveredDevice> discovered_;
  size_t sample_bytes_ = 0;
};

}  // namespace penstock::stream
