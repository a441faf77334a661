"""Several videos of one performance, solved together: clocks, cameras, people, poses."""
