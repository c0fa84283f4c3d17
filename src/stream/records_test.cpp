#include "stream/records.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/io_sim.h"

namespace penstock::stream {
namespace {

Sample any_sample(SimRandom& random, std::string& text, const Sample& before) {
  Sample sample = before;
  if (random.chance(0.3)) {  // another message
    sample.source_time.us =
        random.chance(0.05) ? static_cast<int64_t>(random.next())
                            : before.source_time.us + static_cast<int64_t>(random.below(5'000'000));
    sample.received_time.us =
        random.chance(0.05) ? static_cast<int64_t>(random.next())
                            : sample.source_time.us + static_cast<int64_t>(random.below(90'000));
  }
  sample.series = SeriesId(static_cast<uint32_t>(
      random.chance(0.1) ? random.next() : before.series.value + random.below(3)));
  sample.kind = static_cast<ValueKind>(random.below(5));
  sample.quality = static_cast<Quality>(random.below(3));
  sample.integer = 0;
  switch (sample.kind) {
    case ValueKind::kBoolean:
      sample.boolean = random.chance(0.5);
      break;
    case ValueKind::kText:
    case ValueKind::kObject:
      sample.text = {static_cast<uint32_t>(text.size()), static_cast<uint32_t>(random.below(40))};
      text.append(sample.text.length, 'x');
      break;
    default:
      sample.integer = static_cast<int64_t>(random.next());
  }
  return sample;
}

TEST(SampleRecords, ComeBackAsTheyWere) {
  SimRandom random(3);
  std::vector<Sample> unpacked;
  for (int round = 0; round < 2000; ++round) {
    std::vector<Sample> samples;
    std::string text;
    Sample sample;
    for (uint64_t n = random.below(300); n > 0; --n)
      samples.push_back(sample = any_sample(random, text, sample));
    Bytes body;
    encode_samples(body, {samples, text});
    const auto view = decode_samples(body, unpacked);
    ASSERT_TRUE(view);
    ASSERT_EQ(view->text, text);
    ASSERT_EQ(view->samples.size(), samples.size());
    ASSERT_TRUE(
        std::ranges::equal(std::as_bytes(std::span(samples)), std::as_bytes(view->samples)));
    if (body.size() > 8) {  // no part of it is a record
      body.resize(random.below(body.size()));
      ASSERT_FALSE(decode_samples(body, unpacked));
    }
  }
}

TEST(SampleRecords, TakeHalfOfWhatTheyTakeInMemory) {
  std::vector<Sample> samples;
  for (int message = 0; message < 100; ++message)
    for (uint32_t series = 1; series <= 4; ++series) {
      Sample sample;
      sample.series = SeriesId(series);
      sample.source_time.us = 1'767'225'600'000'000 + message * 1'000'000;
      sample.received_time.us = sample.source_time.us + 1500;
      sample.number = 7.1 * series;
      samples.push_back(sample);
    }
  Bytes body;
  encode_samples(body, {samples, {}});
  EXPECT_LT(body.size(), samples.size() * sizeof(Sample) / 2);
}

TEST(SampleRecords, ClaimsAreNotBelieved) {
  std::vector<Sample> unpacked;
  Bytes body;
  append_le<uint32_t>(body, 0xffffffffU);  // so many samples, without a byte of them
  append_le<uint32_t>(body, 0);
  EXPECT_FALSE(decode_samples(body, unpacked));
  EXPECT_LT(unpacked.capacity(), 100U);
}

}  // namespace
}  // namespace penstock::stream
