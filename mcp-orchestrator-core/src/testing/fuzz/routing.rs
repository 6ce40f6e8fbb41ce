//! URI templates: matching agrees with a reference matcher and takes linear time.
